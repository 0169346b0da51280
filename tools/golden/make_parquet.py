"""Writes the Parquet files of tests/golden/io with pyarrow, and beside each the rows as JSON lines, bytes in base64.

    python tools/golden/make_parquet.py        # pyarrow 26.0.1
"""
import base64
import json
import pathlib
import random

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/io"


def as_json(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {key: as_json(part) for key, part in value.items()}
    if isinstance(value, list):
        return [as_json(part) for part in value]
    return value


def write(name, table, **options):
    pq.write_table(table, FOLDER / f"{name}.parquet", **options)


def write_rows(name, table):
    lines = [json.dumps(as_json(row), ensure_ascii=False) for row in table.to_pylist()]
    (FOLDER / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def caption_rows(count):
    """CapRL-QA rows; every fourth without bytes, every fifth image repeated, text of several languages."""
    draw = random.Random(7)
    texts = ["What colour is the car?", "图中有几只猫？", "Qu'est-ce que c'est ?", "ما هذا؟ 🙂"]
    rows = []
    for i in range(count):
        data = b"same" if i % 5 == 4 else draw.randbytes(20 + i)
        image = {"bytes": None if i % 4 == 3 else data, "path": f"images/{i}.jpg" if i % 2 else None}
        question = {"question": texts[i % 4], "choices": ["A) red", "B) blue", "C) 绿"][:2 + i % 2], "answer": "AB"[i % 2]}
        rows.append({"id": f"row-{i}", "image": image,
                     "prompt": [{"role": "user", "content": "<image> Please describe this image in detail."}],
                     "data_source": "image_caption_rl", "reward_model": {"ground_truth": [question] * (1 + i % 3)}})
    return rows


CAPTIONS = pa.schema([
    ("id", pa.string()), ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))), ("data_source", pa.string()),
    ("reward_model", pa.struct([("ground_truth", pa.list_(pa.struct(
        [("question", pa.string()), ("choices", pa.list_(pa.string())), ("answer", pa.string())])))])),
])


def large_type(kind):
    """As polars writes it."""
    if pa.types.is_string(kind):
        return pa.large_string()
    if pa.types.is_binary(kind):
        return pa.large_binary()
    if pa.types.is_list(kind):
        return pa.large_list(large_type(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, large_type(field.type)) for field in kind])
    return kind


def large(schema):
    return pa.schema([(field.name, large_type(field.type)) for field in schema])


def categories(table):
    """Texts as pandas' categories, of which Arrow's schema in the file keeps the type."""
    for name in ("id", "data_source"):
        table = table.set_column(table.column_names.index(name), name, table[name].dictionary_encode())
    return table


def types():
    nested = [[1, None], [], None]
    return pa.table({
        "flag": pa.array([True, False, None]),
        **{f"i{bits}": pa.array([-2 ** (bits - 1), 2 ** (bits - 1) - 1, None], getattr(pa, f"int{bits}")()) for bits in (8, 16, 32, 64)},
        **{f"u{bits}": pa.array([0, 2 ** bits - 1, None], getattr(pa, f"uint{bits}")()) for bits in (8, 16, 32, 64)},
        "f32": pa.array([0.5, -1.25, None], pa.float32()), "f64": pa.array([0.1, 1e300, None]),
        "text": pa.array(["é", "", None]), "long": pa.array(["a", "b", None], pa.large_string()),
        "long_list": pa.array(nested, pa.large_list(pa.int32())), "nested": pa.array([[[1], []], [None], None], pa.list_(pa.list_(pa.int64()))),
        "objects": pa.array([[{"a": 1, "b": ["x"]}], [{"a": None, "b": None}, None], []]),
        "nothing": pa.nulls(3),
    })


def not_utf8():
    offsets = pa.py_buffer(b"".join(i.to_bytes(4, "little") for i in (0, 2, 4, 6)))
    return pa.table({"id": pa.Array.from_buffers(pa.string(), 3, [None, offsets, pa.py_buffer(b"ok\xff\xfeok")])})


def main():
    captions = pa.Table.from_pylist(caption_rows(12), CAPTIONS)
    write_rows("captions", captions)
    write("captions", captions, row_group_size=5, compression="snappy")
    write("captions_v2", captions, row_group_size=12, compression="zstd", data_page_version="2.0", use_dictionary=["image.bytes"],
          data_page_size=64, write_batch_size=2)
    for encoding in ("DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"):
        write(f"captions_{encoding.split('_BYTE')[0].lower()}", captions, use_dictionary=False, compression="none",
              column_encoding={"image.bytes": encoding}, data_page_size=64, write_batch_size=3, write_statistics=False)
    write("captions_hub", captions.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": {"image": {"_type": "Image"}}}})}),
          row_group_size=7, compression="zstd", write_page_index=True, use_content_defined_chunking=True)
    write("captions_large", captions.cast(large(CAPTIONS)), row_group_size=6, compression="gzip", write_page_index=True,
          use_compliant_nested_type=False)
    write("captions_categories", categories(captions), row_group_size=5, compression="brotli")
    write("captions_lz4", captions, row_group_size=12, compression="lz4", data_page_version="2.0", store_schema=False)
    write("types", types())
    write_rows("types", types())
    write("checksums", captions, row_group_size=4, compression="none", use_dictionary=False, write_page_checksum=True)
    write("not_utf8", not_utf8())
    write("timestamp", pa.table({"id": ["a"], "when": pa.array([0], pa.timestamp("ms"))}))
    write("no_rows", captions.slice(0, 0))


if __name__ == "__main__":
    main()
