#!/usr/bin/env python3
"""Makes tests/golden/image: image files of every supported kind, and what Pillow and transformers make of them.

Needs Pillow, NumPy, torch, torchvision and transformers; no building or testing needs this script.
usage: tools/golden/image.py [OUT]
"""
import io
import json
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin
from transformers.image_utils import load_image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor, smart_resize

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "tests/golden/image")
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{}"/></x:xmpmeta>'


def lcg_image(width, height, seed, channels=3):
    """The bytes that tests/image/test_support.h makes too: a smooth ramp plus a generator's high bits."""
    count = width * height * channels
    state, noise = seed, np.empty(count, np.uint32)
    for i in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        noise[i] = state >> 24
    place = np.arange(count, dtype=np.uint64) // channels
    x, y = place % width, place // width
    ramp = (x * 200 // width + y * 55 // height).astype(np.uint32)
    mixed = np.where(place % 3 == 0, noise, (ramp + noise // 8) % 256)
    return mixed.astype(np.uint8).reshape(height, width, channels)


def wide_hash(data):
    """Sum of (byte + 1) times an odd number of its place, modulo 2^64."""
    bytes_ = np.frombuffer(data, np.uint8).astype(np.uint64) + np.uint64(1)
    place = np.arange(len(bytes_), dtype=np.uint64) * np.uint64(6364136223846793005)
    return int(np.sum(bytes_ * (place + np.uint64(1442695040888963407)), dtype=np.uint64))


def picture(width, height, seed):
    """Smooth colours with some noise: what a camera would give."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([x * 255 / width, y * 255 / height, 128 + 100 * np.sin((x + y) / 5)], -1)
    return np.clip(base + rng.normal(0, 12, base.shape), 0, 255).astype(np.uint8)


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation, big_endian=False, long=False):
    order = ">" if big_endian else "<"
    value = struct.pack(order + ("I" if long else "HH"), *([orientation] if long else [orientation, 0]))
    entries = [struct.pack(order + "HHI", 0x0100, 3, 1) + struct.pack(order + "HH", 7, 0),
               struct.pack(order + "HHI", 0x0112, 4 if long else 3, 1) + value]
    block = (b"MM\0*" if big_endian else b"II*\0") + struct.pack(order + "IH", 8, len(entries))
    return b"Exif\0\0" + block + b"".join(entries) + struct.pack(order + "I", 0)


# --- PNG kinds that Pillow does not write -----------------------------------------------------------------------------
def png_chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def raw_png(samples, depth, color, interlaced=False, before=b""):
    """samples: [height, width, channels] integers."""
    height, width, channels = samples.shape

    def pack(part):
        rows = b""
        for row in part:
            if depth == 16:
                rows += b"\0" + row.astype(">u2").tobytes()
            else:
                bits = "".join(format(int(v), f"0{depth}b") for v in row.reshape(-1))
                bits += "0" * (-len(bits) % 8)
                rows += b"\0" + bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
        return rows

    if interlaced:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
        parts = [samples[y::dy, x::dx] for x, y, dx, dy in passes]
        content = b"".join(pack(part) for part in parts if part.size)
    else:
        content = pack(samples)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + before +
            png_chunk(b"IDAT", zlib.compress(content, 9)) + png_chunk(b"IEND", b""))


def riff_chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def animation_with_offset(canvas, frame, x, y):
    """A WebP animation whose first frame covers only a part of the canvas."""
    still = encoded(frame, "WEBP", lossless=True)[12:]
    u24 = lambda n: struct.pack("<I", n)[:3]
    body = riff_chunk(b"VP8X", b"\x12\0\0\0" + u24(canvas[0] - 1) + u24(canvas[1] - 1))
    body += riff_chunk(b"ANIM", struct.pack("<IH", 0xFF00FF00, 0))
    position = u24(x // 2) + u24(y // 2) + u24(frame.width - 1) + u24(frame.height - 1)
    body += riff_chunk(b"ANMF", position + u24(100) + b"\0" + still)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def patched(data, old, new):
    assert data.count(old) == 1, data.count(old)
    return data.replace(old, new)


def jpeg_files():
    photo = Image.fromarray(picture(37, 29, 1))
    yield "plain.jpg", encoded(photo, "JPEG", quality=90, subsampling="4:4:4")
    yield "422.jpg", encoded(photo, "JPEG", quality=75, subsampling="4:2:2")
    yield "420.jpg", encoded(photo, "JPEG", quality=75, subsampling="4:2:0")
    square = encoded(Image.fromarray(picture(16, 16, 2)), "JPEG", quality=75, subsampling="4:2:2")
    yield "440.jpg", patched(square, b"\x03\x01\x21\x00", b"\x03\x01\x12\x00")
    yield "progressive.jpg", encoded(photo, "JPEG", quality=80, progressive=True)
    yield "restarts.jpg", encoded(photo, "JPEG", quality=60, restart_marker_blocks=2)
    yield "grey.jpg", encoded(photo.convert("L"), "JPEG", quality=85)
    yield "rgb.jpg", encoded(photo, "JPEG", quality=85, keep_rgb=True)
    yield "one_pixel.jpg", encoded(Image.new("RGB", (1, 1), (200, 30, 60)), "JPEG")
    inks = Image.merge("CMYK", Image.fromarray(picture(20, 12, 3)).split() +
                       (Image.fromarray(picture(20, 12, 4)[..., 0]),))
    cmyk = encoded(inks, "JPEG", quality=90)
    yield "cmyk.jpg", cmyk
    adobe = cmyk[cmyk.index(b"\xff\xee"):][:16]
    yield "cmyk_unmarked.jpg", patched(cmyk, adobe, b"")
    yield "ycck.jpg", patched(cmyk, adobe, adobe[:15] + b"\x02")
    small = Image.fromarray(picture(9, 6, 5))
    for orientation in range(1, 9):
        yield f"orientation_{orientation}.jpg", encoded(small, "JPEG", quality=80, exif=exif(orientation))
    yield "orientation_long.jpg", encoded(small, "JPEG", quality=80, exif=exif(6, big_endian=True, long=True))
    yield "orientation_9.jpg", encoded(small, "JPEG", quality=80, exif=exif(9))
    yield "orientation_xmp.jpg", encoded(small, "JPEG", quality=80, xmp=XMP.format(8).encode())
    yield "orientation_both.jpg", encoded(small, "JPEG", quality=80, exif=exif(3), xmp=XMP.format(8).encode())


def png_files():
    rng = np.random.default_rng(6)
    photo = Image.fromarray(picture(19, 11, 7))
    yield "plain.png", encoded(photo, "PNG")
    yield "rgba.png", encoded(Image.fromarray(rng.integers(0, 256, (11, 19, 4), np.uint8)), "PNG")
    yield "grey.png", encoded(photo.convert("L"), "PNG")
    yield "grey_alpha.png", encoded(Image.fromarray(rng.integers(0, 256, (11, 19, 2), np.uint8)), "PNG")
    yield "bilevel.png", encoded(photo.convert("1"), "PNG")
    yield "rgb_transparent.png", encoded(photo, "PNG", transparency=photo.getpixel((3, 3)))
    yield "grey_transparent.png", encoded(photo.convert("L"), "PNG", transparency=100)
    for colors in (2, 4, 16, 256):
        yield f"palette_{colors}.png", encoded(photo.quantize(colors), "PNG")
    palette = photo.quantize(16)
    yield "palette_alpha.png", encoded(palette, "PNG", transparency=bytes(range(0, 256, 16)))
    yield "palette_transparent.png", encoded(palette, "PNG", transparency=3)
    entries = png_chunk(b"PLTE", bytes([250, 10, 20, 30, 240, 50]))
    yield "palette_short.png", raw_png(rng.integers(0, 5, (5, 7, 1)), 8, 3, before=entries)
    for depth in (2, 4):
        yield f"grey_{depth}bit.png", raw_png(rng.integers(0, 2**depth, (9, 11, 1)), depth, 0)
    grey16 = rng.integers(0, 65536, (9, 11, 1))
    grey16[:4] = rng.integers(0, 600, (4, 11, 1))
    yield "grey_16bit.png", raw_png(grey16, 16, 0)
    yield "grey_alpha_16bit.png", raw_png(rng.integers(0, 65536, (9, 11, 2)), 16, 4)
    yield "rgb_16bit.png", raw_png(rng.integers(0, 65536, (9, 11, 3)), 16, 2)
    yield "rgba_16bit.png", raw_png(rng.integers(0, 65536, (9, 11, 4)), 16, 6)
    yield "interlaced.png", raw_png(picture(21, 18, 8), 8, 2, interlaced=True)
    yield "interlaced_3.png", raw_png(rng.integers(0, 4, (3, 3, 1)), 2, 0, interlaced=True)
    yield "interlaced_palette.png", raw_png(rng.integers(0, 2, (13, 10, 1)), 1, 3, interlaced=True, before=entries)
    yield "gamma.png", raw_png(picture(6, 5, 9), 8, 2, before=png_chunk(b"gAMA", struct.pack(">I", 100000)))
    frames = [Image.fromarray(picture(12, 8, 10 + i)) for i in range(3)]
    yield "animated.png", encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], duration=50)
    yield "one_pixel.png", encoded(Image.new("RGB", (1, 1), (200, 30, 60)), "PNG")
    yield "orientation_6.png", encoded(photo, "PNG", exif=exif(6, big_endian=True))
    yield "orientation_grey16.png", raw_png(grey16, 16, 0, before=png_chunk(b"eXIf", exif(5)[6:]))
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.format(3), zip=True)
    block = exif(6).hex()
    profile = f"\nexif\n{len(block) // 2:8}\n" + "\n".join(block[i:i + 72] for i in range(0, len(block), 72)) + "\n"
    raw = PngImagePlugin.PngInfo()
    raw.add_text("Raw profile type exif", profile, zip=True)
    yield "orientation_raw_profile.png", encoded(photo, "PNG", pnginfo=raw)
    yield "orientation_xmp.png", encoded(photo, "PNG", pnginfo=info)


def webp_files():
    rng = np.random.default_rng(11)
    photo = Image.fromarray(picture(37, 29, 12))
    yield "lossy.webp", encoded(photo, "WEBP", quality=80)
    yield "lossless.webp", encoded(photo, "WEBP", lossless=True)
    alpha = Image.fromarray(np.dstack([picture(22, 14, 13), rng.integers(0, 256, (14, 22), np.uint8)]))
    yield "lossy_alpha.webp", encoded(alpha, "WEBP", quality=70)
    yield "lossless_alpha.webp", encoded(alpha, "WEBP", lossless=True, exact=True)
    frames = [Image.fromarray(picture(24, 16, 14 + i)) for i in range(3)]
    yield "animated.webp", encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], duration=50)
    yield "animated_offset.webp", animation_with_offset((20, 16), alpha.crop((0, 0, 9, 7)), 4, 6)
    yield "one_pixel.webp", encoded(Image.new("RGB", (1, 1), (200, 30, 60)), "WEBP", lossless=True)
    small = photo.crop((0, 0, 10, 7))
    yield "orientation_5.webp", encoded(small, "WEBP", lossless=True, exif=exif(5))
    yield "orientation_xmp.webp", encoded(small, "WEBP", lossless=True, xmp=XMP.format(7).encode())


def write_decoding():
    index, pixels = [], b""
    for name, data in (*jpeg_files(), *png_files(), *webp_files()):
        path = OUT / "files" / name
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = load_image(str(path))
        index.append({"file": name, "width": image.width, "height": image.height, "offset": len(pixels)})
        pixels += image.tobytes()
    (OUT / "decoded.json").write_text("[\n" + ",\n".join(map(json.dumps, index)) + "\n]\n")
    (OUT / "decoded.rgb").write_bytes(pixels)


def write_resizing():
    sizes = [(8, 8, 16, 16), (16, 16, 8, 8), (17, 9, 28, 28), (100, 60, 56, 28), (60, 100, 84, 140), (5, 3, 56, 56),
             (1, 1, 56, 56), (1, 40, 28, 84), (200, 1, 280, 28), (64, 64, 64, 28), (64, 64, 28, 64), (33, 47, 33, 47),
             (640, 427, 644, 420), (333, 251, 112, 84), (127, 255, 308, 616), (97, 101, 1, 1), (2, 2, 3, 5),
             (512, 384, 28, 56), (28, 28, 29, 27), (450, 30, 56, 420), (60, 80, 50, 60), (60, 80, 50, 59), (300, 900, 84, 252)]
    rows = []
    for i, (width, height, new_width, new_height) in enumerate(sizes):
        image = Image.fromarray(lcg_image(width, height, i + 1))
        resized = image.resize((new_width, new_height), Image.Resampling.BICUBIC).tobytes()
        row = {"from": [width, height], "to": [new_width, new_height], "seed": i + 1, "hash": str(wide_hash(resized))}
        if len(resized) <= 256:
            row["rgb"] = resized.hex()
        rows.append(row)
    (OUT / "resized.json").write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


def write_smart_resize():
    rng = np.random.default_rng(21)
    fixed = [(1, 1), (1, 200), (200, 1), (27, 27), (28, 28), (13, 2600), (14, 2800), (42, 42), (70, 98), (98, 70), (56, 56),
             (55, 57), (640, 480), (1920, 1080), (4032, 3024), (10000, 10000), (10, 2000), (3584, 3584), (3585, 3585)]
    drawn = [tuple(int(v) for v in np.exp(rng.uniform(0, np.log(6000), 2))) for _ in range(400)]
    sizes = fixed + [(w, h) for w, h in drawn if max(w, h) <= 200 * min(w, h)]
    configs = [(14, 2, 3136, 12845056), (14, 2, 3136, 1003520), (16, 2, 65536, 16777216), (14, 2, 100352, 200704),
               (4, 1, 1, 64)]
    tables = []
    for patch, merge, low, high in configs:
        rows = []
        for width, height in sizes:
            new_height, new_width = smart_resize(height, width, patch * merge, low, high)
            rows.append([width, height, new_width, new_height])
        tables.append({"patch_size": patch, "merge_size": merge, "min_pixels": low, "max_pixels": high, "rows": rows})
    (OUT / "smart_resize.json").write_text(
        "[\n" + ",\n".join(json.dumps(t, separators=(",", ":")) for t in tables) + "\n]\n")


def write_patches():
    half = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    cases = [  # size, every n-th value kept, options
        ((56, 56), 29, {}),
        ((75, 50), 29, {}),
        ((300, 200), 97, {"max_pixels": 100352}),
        ((9, 13), 29, {}),
        ((64, 40), 7, {"patch_size": 16, "min_pixels": 1024, **half}),
        ((21, 11), 1, {"patch_size": 2, "temporal_patch_size": 3, "merge_size": 2, "min_pixels": 16, "max_pixels": 144}),
    ]
    index, values = [], b""
    for i, ((width, height), every, options) in enumerate(cases):
        image = lcg_image(width, height, 100 + i)
        row = {"size": [width, height], "seed": 100 + i, "every": every, "options": options}
        for key, processor in (("slow", Qwen2VLImageProcessorPil), ("fast", Qwen2VLImageProcessor)):
            # A copy of the class's sizes, because the processor writes min_pixels into it.
            made = processor(size=dict(processor.size), **options)(images=[Image.fromarray(image)], return_tensors="np")
            flat = np.asarray(made["pixel_values"], np.float32).reshape(-1)
            row["grid"] = made["image_grid_thw"][0].tolist()
            row[key] = {"offset": len(values), "count": len(flat[::every])}
            values += flat[::every].tobytes()
        index.append(row)
    (OUT / "patches.json").write_text("[\n" + ",\n".join(map(json.dumps, index)) + "\n]\n")
    (OUT / "patches.f32").write_bytes(values)


def main():
    (OUT / "files").mkdir(parents=True, exist_ok=True)
    write_decoding()
    write_resizing()
    write_smart_resize()
    write_patches()


if __name__ == "__main__":
    main()
