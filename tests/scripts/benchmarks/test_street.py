from benchmarks.street import jpegs, pictures, street_dataset


def test_the_last_classes_are_things():
    dataset = street_dataset(5, 2)
    assert dataset.num_classes == 5 and dataset.thing_classes == (3, 4)


def test_pictures_have_the_size_asked_for():
    assert [picture.shape for picture in pictures(2, (20, 30))] == [(20, 30, 3)] * 2
    assert all(data.startswith(b"\xff\xd8") for data in jpegs(2, (20, 30)))
