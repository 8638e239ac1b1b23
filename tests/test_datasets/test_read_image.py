"""Images of any kind become RGB; half an image is an error."""

import io

import numpy as np
import pytest
from PIL import Image

from mmkd.datasets import read_image
from mmkd.errors import DataError

PIXELS = np.random.default_rng(0).integers(256, size=(24, 16, 3), dtype=np.uint8)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def read(tmp_path, content):
    path = tmp_path / 'image.bin'
    path.write_bytes(content)
    return read_image(dict(img_path=str(path), gt_label=0))


def refused(tmp_path, content):
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert 'image.bin cannot be read as an image' in message
    assert '\n' not in message
    assert ('unpack it again' in message) != ('convert it to 8 bit' in message)
    return message


def test_colour(tmp_path):
    image = read(tmp_path, encoded(Image.fromarray(PIXELS), 'PNG'))
    assert image.dtype == np.uint8 and image.flags.writeable
    np.testing.assert_array_equal(image, PIXELS)


def test_grey(tmp_path):
    grey = Image.fromarray(PIXELS[..., 0])
    expected = PIXELS[..., :1].repeat(3, axis=2)
    np.testing.assert_array_equal(read(tmp_path, encoded(grey, 'PNG')), expected)


def test_palette(tmp_path):
    palette = Image.fromarray(PIXELS).quantize(8)
    expected = np.array(palette.getpalette()).reshape(-1, 3)[np.array(palette)]
    np.testing.assert_array_equal(read(tmp_path, encoded(palette, 'PNG')), expected)


def test_cmyk(tmp_path):
    red = Image.new('CMYK', (16, 16), (0, 255, 255, 0))
    image = read(tmp_path, encoded(red, 'JPEG', quality=100)).astype(int)
    assert np.abs(image - [255, 0, 0]).max() < 6


def test_transparency_is_dropped(tmp_path):
    alpha = np.zeros((24, 16, 1), np.uint8)
    image = Image.fromarray(np.concatenate([PIXELS, alpha], axis=2))
    np.testing.assert_array_equal(read(tmp_path, encoded(image, 'PNG')), PIXELS)


def test_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # to be shown turned by 90 degrees clockwise
    image = read(tmp_path, encoded(Image.fromarray(PIXELS), 'PNG', exif=exif))
    np.testing.assert_array_equal(image, np.rot90(PIXELS, -1))


@pytest.mark.filterwarnings('ignore:Corrupt EXIF', 'ignore:Truncated File')
@pytest.mark.parametrize(
    'kind, options',
    [('JPEG', {}), ('JPEG', dict(progressive=True)), ('PNG', {}), ('BMP', {}),
     ('GIF', {}), ('TIFF', {}), ('WEBP', {}), ('PPM', {})],
)  # fmt: skip
def test_a_file_cut_anywhere_is_refused_or_whole(tmp_path, kind, options):
    content = encoded(Image.fromarray(PIXELS), kind, **options)
    whole = read(tmp_path, content)
    refusals = 0
    for length in range(0, len(content), 7):
        try:
            image = read(tmp_path, content[:length])
        except DataError:
            refusals += 1
        else:  # only a checksum or an end mark is gone
            np.testing.assert_array_equal(image, whole)
    assert refusals > 0.9 * len(range(0, len(content), 7))


def test_half_an_image_is_not_given_out(tmp_path):
    """OpenCV 4 fills up such a JPEG with grey; Pillow says how it ends."""
    content = encoded(Image.fromarray(PIXELS).resize((256, 256)), 'JPEG')
    for share in (0.5, 0.8, 0.99):
        cut = content[: int(len(content) * share)]
        assert 'truncated' in refused(tmp_path, cut)


def test_what_is_no_image(tmp_path):
    assert 'it is empty' in refused(tmp_path, b'')
    assert 'no image' in refused(tmp_path, b'<html>404 Not Found</html>')


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r'gone\.png.*No such file'):
        read_image(dict(img_path=str(tmp_path / 'gone.png')))


@pytest.mark.parametrize('dtype', [np.uint16, np.int32, np.float32])
def test_more_than_8_bits_is_refused_not_clipped(tmp_path, dtype):
    deep = Image.fromarray(PIXELS[..., 0].astype(dtype) * 200)
    message = refused(tmp_path, encoded(deep, 'TIFF'))
    assert 'more than 8 bits' in message and 'convert it to 8 bit' in message


def test_images_in_memory():
    assert read_image(dict(img=PIXELS)) is PIXELS
    for wrong in (PIXELS.astype(np.float32), PIXELS[..., 0], PIXELS[..., :1]):
        with pytest.raises(DataError, match=r'must be uint8 \(H, W, 3\)'):
            read_image(dict(img=wrong))
