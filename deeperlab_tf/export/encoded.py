"""Images as they come over the wire, JPEG or PNG bytes, decoded inside the graph: TensorFlow
operations only.

What a picture claims to be is read from its header before anything is decoded, so that a
decompression bomb costs nothing; and whatever is wrong is reported with the image's place in the
batch.
"""

import tensorflow as tf

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_SIGNATURE = b"\xff\xd8"
_END_OF_DATA = b"\0" * 32  # so that a field read past the end is 0
_MAX_SEGMENTS = 10_000  # of a JPEG's header; real ones have a few dozen
_START_OF_SCAN, _APP1 = 0xDA, 0xE1
_START_OF_FRAME = tuple(marker for marker in range(0xC0, 0xD0) if marker not in (0xC4, 0xC8, 0xCC))
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD9))  # markers that no segment follows
_EXIF = tuple(b"Exif\0\0")
_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1


def image_headers(encoded):
    """Size and orientation of encoded images, from their headers alone.

    Args:
      encoded: string [B].

    Returns:
      int32 [B, 3]: height and width as stored, and the EXIF orientation 1-8 of JPEGs (1 where there
      is none); zeros for what is neither JPEG nor PNG.
    """
    return tf.map_fn(_image_header, encoded, fn_output_signature=tf.TensorSpec([3], tf.int32))


def upright_size(header):
    """(height, width) of an image of that `image_headers` row once it is turned upright."""
    sideways = header[2] >= 5
    return tf.where(sideways, header[1], header[0]), tf.where(sideways, header[0], header[1])


def check_headers(headers, max_pixels):
    """Fails unless there are images and all of them are readable and small enough; names the first
    that is not.

    Args:
      headers: of `image_headers`.
      max_pixels: largest number of pixels that is decoded.

    Returns:
      `headers`; what is computed from them waits for the check.
    """
    pixels = tf.cast(headers[:, 0], tf.int64) * tf.cast(headers[:, 1], tf.int64)
    checks = [
        *require(tf.size(headers) > 0, "the batch is empty; send at least one image."),
        *_require_all(pixels > 0, "is neither a JPEG nor a PNG."),
        *_require_all(pixels <= max_pixels, f"has more than {max_pixels} pixels; make it smaller."),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(headers)


def decode_image(encoded, header, index):
    """Decodes one image and turns it upright.

    Args:
      encoded: string scalar.
      header: its row of `image_headers`.
      index: its place in the batch, for the error.

    Returns:
      uint8 [H, W, 3], RGB: grey and palettes are spread out, 16 bits cut to 8, transparency is
      dropped.
    """
    pixels = _decode_or_empty(encoded)
    check = require(
        tf.size(pixels) > 0, _sentence(index, "is broken or cut off; it cannot be decoded.")
    )
    with tf.control_dependencies(check):
        pixels = tf.identity(pixels)
    pixels = tf.cond(
        header[2] == _UPRIGHT, lambda: pixels, lambda: _turn_upright(pixels, header[2])
    )
    return tf.ensure_shape(pixels, [None, None, 3])


def require(condition, message):
    """List of an assertion, for `tf.control_dependencies`: at run time, never decided while the
    graph is made.
    """
    assertion = tf.raw_ops.Assert(condition=condition, data=[message], summarize=1)
    return [] if assertion is None else [assertion]


def _require_all(good, what):
    """Assertion that all of bool [B] hold; says which image is the first that does not."""
    first = tf.argmin(tf.cast(tf.concat([good, [False]], 0), tf.int32), output_type=tf.int32)
    return require(tf.reduce_all(good), _sentence(first, what))


def _sentence(index, what):
    return tf.strings.join(
        ["image ", tf.strings.as_string(index), f" of the batch (the first is 0) {what}"]
    )


def _decode_or_empty(encoded):
    """uint8 [H, W, 3], or [0, 0, 3] where decoding fails.

    An operation that fails ends the whole call; a dataset's elements may fail and be passed over.
    This is the only way to learn from within a graph that an image is broken.
    """

    def decode(data):
        is_png = tf.strings.substr(data, 0, 1) == _PNG_SIGNATURE[:1]
        return tf.cond(
            is_png,
            lambda: tf.io.decode_png(data, 3),
            lambda: tf.io.decode_jpeg(data, 3, dct_method="INTEGER_ACCURATE"),
        )

    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    images = tf.data.Dataset.from_tensors(encoded).map(decode).ignore_errors()
    images = images.concatenate(tf.data.Dataset.from_tensors(tf.zeros([0, 0, 3], tf.uint8))).take(1)
    return images.with_options(options).get_single_element()


def _turn_upright(pixels, orientation):
    """Undoes the EXIF orientations 2-8."""

    def one_of(*values):
        return tf.reduce_any(tf.equal(orientation, tf.constant(values)))

    pixels = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, [1, 0, 2]), lambda: pixels)
    pixels = tf.cond(one_of(2, 3, 6, 7), lambda: tf.reverse(pixels, [1]), lambda: pixels)
    return tf.cond(one_of(3, 4, 7, 8), lambda: tf.reverse(pixels, [0]), lambda: pixels)


# === Headers ===


def _image_header(encoded):
    """`image_headers` of one image: int32 [3]."""
    data = tf.io.decode_raw(tf.strings.join([encoded, _END_OF_DATA]), tf.uint8)
    return tf.case(
        [
            (_starts_with(data, 0, _PNG_SIGNATURE + b"\0\0\0\rIHDR"), lambda: _png_header(data)),
            (_starts_with(data, 0, _JPEG_SIGNATURE), lambda: _jpeg_header(data)),
        ],
        default=lambda: tf.zeros([3], tf.int32),
    )


def _png_header(data):
    height, width = _number(data, 20, 4), _number(data, 16, 4)
    return tf.stack([height, width, _UPRIGHT])


def _jpeg_header(data):
    """Walks over the segments (marker, length, content) up to the first scan."""
    length = tf.size(data)

    def is_segment(position, header):
        more = (position < length) & (_number(data, position, 1) == 0xFF)
        return more & (_number(data, position + 1, 1) != _START_OF_SCAN)

    def step(position, header):
        marker, size = _number(data, position + 1, 1), _number(data, position + 2, 2)
        is_frame = tf.reduce_any(marker == tf.constant(_START_OF_FRAME))
        is_exif = (marker == _APP1) & _starts_with(data, position + 4, _EXIF)
        frame = tf.stack([_number(data, position + 5, 2), _number(data, position + 7, 2)])
        header = tf.concat([tf.where(is_frame, frame, header[:2]), header[2:]], 0)
        header = tf.cond(
            is_exif,
            lambda: tf.concat([header[:2], [_exif_orientation(data, position + 10)]], 0),
            lambda: header,
        )
        has_length = tf.reduce_all(marker != tf.constant(_WITHOUT_LENGTH))
        # 0xFF before a marker is padding.
        advance = tf.where(marker == 0xFF, 1, tf.where(has_length, 2 + tf.maximum(size, 2), 2))
        return position + advance, header

    start = tf.constant(len(_JPEG_SIGNATURE)), tf.constant([0, 0, _UPRIGHT])
    return tf.while_loop(
        is_segment, step, start, maximum_iterations=_MAX_SEGMENTS, parallel_iterations=1
    )[1]


def _exif_orientation(data, start):
    """The orientation in the TIFF directory at byte `start`; 1 where there is none."""
    little = _number(data, start, 1) == ord("I")

    def number(positions, count):
        digits = _bytes(data, positions, count)
        powers = tf.constant([256**power for power in range(count)])
        return tf.reduce_sum(digits * tf.where(little, powers, powers[::-1]), -1)

    directory = start + number(start + 4, 4)
    entries = directory + 2 + 12 * tf.range(tf.minimum(number(directory, 2), 256))
    value = tf.reduce_max(
        tf.where(number(entries, 2) == _ORIENTATION_TAG, number(entries + 8, 2), 0)
    )
    return tf.where((value >= 1) & (value <= 8), value, _UPRIGHT)


def _bytes(data, positions, count):
    """int32 [..., count]: the bytes from each position on; positions outside are clamped, where 0
    is found.
    """
    positions = tf.expand_dims(tf.convert_to_tensor(positions), -1) + tf.range(count)
    return tf.cast(tf.gather(data, tf.clip_by_value(positions, 0, tf.size(data) - 1)), tf.int32)


def _number(data, position, count):
    """Big-endian number of `count` bytes."""
    powers = tf.constant([256**power for power in reversed(range(count))])
    return tf.reduce_sum(_bytes(data, position, count) * powers, -1)


def _starts_with(data, position, pattern):
    return tf.reduce_all(_bytes(data, position, len(pattern)) == tf.constant(list(pattern)))
