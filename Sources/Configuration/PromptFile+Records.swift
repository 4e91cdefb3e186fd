import Foundation
import JSON

/// Where a record of a prompt file stands, for messages.
struct RecordPlace {
    /// Counted from 1; nil in a file that is one JSON list.
    var line: Int?
    /// The number of an element of a list, from 1.
    var item: Int?

    func problem(_ source: String, _ message: String) -> ConfigurationError.Problem {
        .init(source: source, line: line, message: (item.map { "item \($0): " } ?? "") + message)
    }
}

extension PromptFile {
    /// Bytes of a prompt file: what is larger does not fit beside a model.
    package static let byteLimit = 1 << 31

    /// How a file holds its records.
    private enum Container {
        case lines, list, table

        /// - Parameter source: the name of the file, whose ending tells a table from lines.
        init(_ bytes: Data, source: String) {
            let first = bytes.first { !($0 == 0x20 || $0 == 0x09 || $0 == 0x0a || $0 == 0x0d) }
            if source.lowercased().hasSuffix(".csv") {
                self = .table
            } else if first == UInt8(ascii: "[") {
                self = .list
            } else {
                self = .lines
            }
        }
    }

    /// Calls `body` with each record of a file, or with why it cannot be read, until it returns false.
    /// - Throws: ``ConfigurationError`` for a file that is of another kind.
    static func forEachRecord(
        _ bytes: Data, source: String, _ body: (RecordPlace, Result<JSONObject, Refusal>) -> Bool
    ) throws {
        func refuse(_ message: String) -> ConfigurationError {
            ConfigurationError(problems: [.init(source: source, message: message)])
        }
        if let reason = foreignFormat(bytes, source: source) { throw refuse(reason) }
        switch Container(bytes, source: source) {
        case .lines:
            let slices = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            for (index, slice) in slices.enumerated() {
                if slice.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }) { continue }
                let record = Result { try object(ofLine: [UInt8](slice)) }.mapError {
                    $0 as? Refusal ?? Refusal("\($0)")
                }
                guard body(RecordPlace(line: index + 1), record) else { return }
            }
        case .list:
            let list = bytes.withUnsafeBytes { buffer in
                Result { () throws(JSONError) -> JSONValue in try JSONValue.parse(buffer) }
            }
            if case .failure(let error) = list {
                let line = bytes.prefix(error.offset).count { $0 == UInt8(ascii: "\n") } + 1
                throw ConfigurationError(problems: [
                    .init(source: source, line: line, message: "is a list that is not JSON: \(error.message)")
                ])
            }
            for (index, element) in ((try? list.get())?.array ?? []).enumerated() {
                let record =
                    element.object.map { Result<JSONObject, Refusal>.success($0) }
                    ?? .failure(Refusal("expected an object such as {\"prompt\": \"...\"}"))
                guard body(RecordPlace(item: index + 1), record) else { return }
            }
        case .table:
            try bytes.withUnsafeBytes { try forEachRow($0, source: source, body) }
        }
    }

    private static func object(ofLine bytes: [UInt8]) throws -> JSONObject {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw Refusal("is not UTF-8 text") }
        guard let value = try? JSONValue.parse(bytes, limit: valueLimit) else {
            throw Refusal("is not JSON; each line must be one complete JSON object")
        }
        guard let object = value.object else { throw Refusal("expected an object such as {\"prompt\": \"...\"}") }
        return object
    }

    /// The rows of a table as objects of texts; an empty field is left out.
    private static func forEachRow(
        _ bytes: UnsafeRawBufferPointer, source: String, _ body: (RecordPlace, Result<JSONObject, Refusal>) -> Bool
    ) throws {
        var reader = CSVReader(bytes), header: [String] = []
        do {
            header = try reader.next()?.fields ?? []
        } catch {
            throw ConfigurationError(problems: [.init(source: source, line: error.line, message: error.message)])
        }
        if let twice = header.first(where: { name in header.count { $0 == name } > 1 }) {
            throw ConfigurationError(problems: [
                .init(source: source, line: 1, message: "the column '\(twice.prefix(80))' stands there twice")
            ])
        }
        while true {
            let record: Result<JSONObject, Refusal>, line: Int
            do {
                guard let row = try reader.next() else { return }
                line = row.line
                if row.fields.count == header.count {
                    record = .success(
                        JSONObject(
                            zip(header, row.fields).filter { !$1.isEmpty }.map {
                                .init(key: $0, value: .string($1))
                            }))
                } else {
                    record = .failure(
                        Refusal("has \(row.fields.count) fields, but the first line names \(header.count) columns"))
                }
            } catch {
                (line, record) = (error.line, .failure(Refusal(error.message)))
            }
            guard body(RecordPlace(line: line), record) else { return }
        }
    }

    /// Why a file that is known, and is none of these, cannot be read, and what to do; nil for all others.
    private static func foreignFormat(_ bytes: Data, source: String) -> String? {
        let ending = source.lowercased()
        if bytes.starts(with: Data("PAR1".utf8)) || ending.hasSuffix(".parquet") {
            return "is a Parquet file, which is not read; convert it with: python3 -c \"import pandas as p, sys; "
                + "p.read_parquet(sys.argv[1]).to_json(sys.argv[2], orient='records', lines=True)\" \(source) "
                + "prompts.jsonl"
        }
        if bytes.starts(with: Data("ARROW1".utf8)) || ending.hasSuffix(".arrow") {
            return "is an Arrow file, which is not read; convert it with: python3 -c \"import datasets, sys; "
                + "datasets.Dataset.from_file(sys.argv[1]).to_json(sys.argv[2])\" \(source) prompts.jsonl"
        }
        let packers: [(magic: [UInt8], name: String)] = [
            ([0x1f, 0x8b], "gzip"), ([0x28, 0xb5, 0x2f, 0xfd], "zstd"), (Array("PK\u{3}\u{4}".utf8), "zip"),
        ]
        return packers.first { bytes.starts(with: $0.magic) }.map { "is compressed with \($0.name); unpack it first" }
    }
}

extension Refusal {
    init(_ message: String) { self.init(message: message) }
}
