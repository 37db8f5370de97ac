"""TFRecords: labelled images in shards, with the keys of DeepLab2's records, which load unchanged.

    {split}-00000-of-00010.tfrecord, …     the shards
    dataset.json                           the classes (deeperlab_tf.schema.Dataset)
    {split}.json                           manifest: images, bytes and SHA-256 of each shard
    {split}.lengths                        bytes of each record, int64, shard after shard
    {split}.sources.gz                     what they were made from, see `fingerprint`

A label map is stored as raw int32 class * LABEL_DIVISOR + instance. A thing pixel with instance 0
is crowd. Records without a `dataset.json` are DeepLab2's: there the instances of each class are
counted anew, and COCO's classes start at 1 (see `LabelEncoding`).
"""
