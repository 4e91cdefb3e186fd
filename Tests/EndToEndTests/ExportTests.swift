import Foundation
import JSON
import TestSupport
import Testing

/// `opd export --to parquet`, with a pyarrow that is made up here, and with the real one where it is installed.
@Suite struct ExportTests {
    /// Writes what it is given as JSON lines.
    private static let arrow = """
        def null(): return "null"
        def bool_(): return "bool"
        def int64(): return "int64"
        def float64(): return "float64"
        def string(): return "string"
        def list_(kind): return f"list({kind})"

        class Field:
            def __init__(self, name, kind): self.name, self.type = name, kind

        def schema(fields): return [Field(*field) for field in fields]
        def array(values, kind): return list(values)

        class Table:
            @staticmethod
            def from_arrays(arrays, schema): return arrays
        """
    private static let parquet = """
        import json, os

        class ParquetWriter:
            def __init__(self, file, schema):
                self.file = file
                self.put([[field.name, field.type] for field in schema])
            def put(self, value): self.file.write((json.dumps(value) + "\\n").encode())
            def __enter__(self): return self
            def __exit__(self, *error): pass
            def write_table(self, table):
                if os.environ.get("FAKE_MODE") == "throws": raise ValueError("no such type")
                for row in zip(*table): self.put(row)
        """

    private static func withRun(
        _ body: (_ folder: String, _ environment: [String: String]) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            for name in ["run", "clients/pyarrow"] {
                try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
            }
            try write(arrow, "\(folder)/clients/pyarrow/__init__.py")
            try write(parquet, "\(folder)/clients/pyarrow/parquet.py")
            // More than pipes hold.
            let lines = (1...5000).map { step in
                "{\"step\": \(step), \"loss\": \(step).5, \"ids\": [\(step), 2], \"by\": {\"a\": 1}, \"s\": \"é\\n\"}\n"
            }
            try write(lines.joined(), "\(folder)/run/metrics.jsonl")
            try await body(folder, ["PYTHONPATH": "\(folder)/clients"])
        }
    }

    @Test func everyRowIsHandedOver() async throws {
        try await Self.withRun { folder, environment in
            let end = try await Binary.run(
                ["export", "run", "--to", "parquet"], in: folder, environment: environment)
            #expect(end.status == 0, "\(end.errors)")
            #expect(end.output == "run/metrics.parquet: 5000 rows of 5 columns\n")
            let text = try String(contentsOfFile: "\(folder)/run/metrics.parquet", encoding: .utf8)
            let lines = try text.split(separator: "\n").map { try JSONValue.parse(String($0)) }
            #expect(
                lines.first == [
                    ["step", "int64"], ["loss", "float64"], ["ids", "list(int64)"], ["by", "string"], ["s", "string"],
                ])
            #expect(lines.count == 5001 && lines.last == [5000, 5000.5, [5000, 2], "{\"a\":1}", "é\n"])
        }
    }

    /// Whatever goes wrong there is one line that says what, and no file.
    @Test func whatCannotBeWrittenIsSaid() async throws {
        try await Self.withRun { folder, environment in
            // A Python without packages of anyone's.
            try write("#!/bin/sh\nexec python3 -I -S \"$@\"\n", "\(folder)/bare")
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: "\(folder)/bare")
            for (arguments, mode, status, words) in [
                (["--python", "./bare"], "", 2, "the Python package pyarrow is not installed for ./bare"),
                (["--python", "/no/python"], "", 2, "/no/python cannot be run"),
                (["--python", "/bin/false"], "", 2, "/bin/false is no Python 3 that works"),
                ([], "throws", 1, "parquet: ValueError: no such type"),
            ] as [([String], String, Int32, String)] {
                let end = try await Binary.run(
                    ["export", "run", "--to", "parquet"] + arguments, in: folder,
                    environment: environment.merging(["FAKE_MODE": mode]) { $1 })
                #expect(end.status == status && end.errors.contains(words), "\(end.status): \(end.errors)")
                #expect(!FileManager.default.fileExists(atPath: "\(folder)/run/metrics.parquet"))
            }
        }
    }

    /// A Python that has pyarrow: `PEERS_PYTHON`, or `python3`.
    private static let python: String? = {
        let python = ProcessInfo.processInfo.environment["PEERS_PYTHON"] ?? "/usr/bin/python3"
        let process = Process()
        process.executableURL = URL(filePath: python)
        process.arguments = ["-c", "import pyarrow.parquet"]
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        process.waitUntilExit()
        return process.terminationStatus == 0 ? python : nil
    }()

    @Test(.enabled(if: python != nil)) func pyarrowReadsItBack() async throws {
        try await Self.withRun { folder, _ in
            let python = Self.python ?? ""
            let end = try await Binary.run(
                ["export", "run", "--to", "parquet", "--python", python, "-o", "table.parquet"], in: folder)
            #expect(end.status == 0, "\(end.errors)")
            let code = """
                import pyarrow.parquet
                table = pyarrow.parquet.read_table("table.parquet")
                print(*table.schema.types, sep=";")
                print(table.num_rows, table.slice(4999, 1).to_pylist())
                """
            let read = try await Binary.run(["-c", code], of: python, in: folder)
            #expect(
                read.lines == [
                    "int64;double;list<element: int64>;string;string",
                    #"5000 [{'step': 5000, 'loss': 5000.5, 'ids': [5000, 2], 'by': '{"a":1}', 's': 'é\n'}]"#,
                ], "\(read.output) \(read.errors)")
        }
    }
}
