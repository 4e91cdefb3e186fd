"""Writes a table as Apache Parquet, by pyarrow.

opd export starts this, and writes JSON lines to its standard input: first the columns, a list of [NAME, TYPE], TYPE
being one of none, bool, integer, number, text, json and list<TYPE>; then a list of values for every row. The file goes
to standard output. With --check it tells by its status, 3, that pyarrow is not installed.
"""

import importlib.util
import json
import os
import sys

ROWS, BYTES = 1000, 1 << 24


def main(arguments):
    # What lies in the folder that the command is started in is no module.
    sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())]
    if importlib.util.find_spec("pyarrow") is None:
        return 3
    if arguments == ["--check"]:
        return 0
    import pyarrow
    from pyarrow import parquet

    kinds = {"none": pyarrow.null(), "bool": pyarrow.bool_(), "integer": pyarrow.int64(), "number": pyarrow.float64()}
    kinds |= {"text": pyarrow.string(), "json": pyarrow.string()}

    def kind(name):
        if name.startswith("list<"):
            return pyarrow.list_(kind(name[5:-1]))
        return kinds[name]

    schema = pyarrow.schema([(name, kind(of)) for name, of in json.loads(sys.stdin.buffer.readline())])
    with parquet.ParquetWriter(sys.stdout.buffer, schema) as writer:
        rows, size = [], 0

        def write():
            columns = zip(*rows, strict=True) if rows else [() for _ in schema]
            arrays = [pyarrow.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))

        for line in sys.stdin.buffer:
            rows.append(json.loads(line))
            size += len(line)
            if len(rows) == ROWS or size >= BYTES:
                write()
                rows, size = [], 0
        write()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Exception as error:
        print(f"parquet: {type(error).__name__}: {' '.join(str(error).split())[:500]}", file=sys.stderr)
        sys.exit(1)
