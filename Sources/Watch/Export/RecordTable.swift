import Files
import JSON

/// A run's JSON lines as a table: a row a line, a column a member, in the order in which members first come.
package struct RecordTable: Sendable {
    /// Most columns; a run's lines have some tens of members.
    package static let mostColumns = 1_000

    package private(set) var columns: [String] = []
    /// What the values of each column are.
    package private(set) var types: [ColumnType] = []
    package private(set) var rowCount = 0
    /// Lines that are no JSON objects, which are left out.
    package private(set) var unreadable = 0
    private let path: String
    private var places: [String: Int] = [:]

    /// Reads the columns of a file of JSON lines, also while a run appends to it.
    /// - Throws: `FileError`; `TableError` for a file whose lines have too many different members.
    package init(_ path: String) throws {
        self.path = path
        var reader = try LineReader(path, limit: Self.lineLimit)
        while let line = try reader.next() {
            guard let record = Self.record(line) else {
                unreadable += 1
                continue
            }
            rowCount += 1
            for member in record.members {
                let type = ColumnType(of: member.value)
                if let place = places[member.key] {
                    types[place] = types[place].joined(with: type)
                    continue
                }
                guard columns.count < Self.mostColumns else {
                    throw TableError(
                        description: "\(path):\(reader.lineNumber): more than \(Self.mostColumns) different members; a "
                            + "run's records have some tens")
                }
                places[member.key] = columns.count
                columns.append(member.key)
                types.append(type)
            }
        }
    }

    /// Gives the table away piece by piece as comma-separated values (RFC 4180).
    ///
    /// A text stands there as it is, a number as JSON writes it, a list or an object as JSON. What a line lacks, and null,
    /// is an empty field.
    /// - Throws: `FileError`, and what `append` throws.
    package func writeCSV(_ append: (_ bytes: [UInt8]) throws -> Void) throws {
        try write(head: Self.row(columns), append) { values in Self.row(values.map { $0.map(Self.text) ?? "" }) }
    }

    /// Gives the table away piece by piece as JSON lines: first the columns, a list of pairs of name and type, then of every
    /// row a list of its values.
    /// - Throws: `FileError`, and what `append` throws.
    package func writeTypedLines(_ append: (_ bytes: [UInt8]) throws -> Void) throws {
        let head = zip(columns, types).map { "[\(JSONText.string($0)),\(JSONText.string($1.name))]" }
        func line(_ values: [String]) -> [UInt8] { Array("[\(values.joined(separator: ","))]\n".utf8) }
        try write(head: line(head), append) { values in
            line(zip(values, types).map { value, type in type.json(value ?? .null) })
        }
    }

    /// The rows that were there when the columns were read.
    private func write(
        head: [UInt8], _ append: (_ bytes: [UInt8]) throws -> Void, row: (_ values: [JSONValue?]) -> [UInt8]
    ) throws {
        var bytes = head
        var reader = try LineReader(path, limit: Self.lineLimit)
        var rows = 0
        while rows < rowCount, let line = try reader.next() {
            guard let record = Self.record(line) else { continue }
            rows += 1
            var values = [JSONValue?](repeating: nil, count: columns.count)
            // Of a member that comes twice the first counts, as everywhere here.
            for member in record.members.reversed() {
                if let place = places[member.key] { values[place] = member.value }
            }
            bytes += row(values)
            if bytes.count >= 1 << 16 {
                try append(bytes)
                bytes.removeAll(keepingCapacity: true)
            }
        }
        try append(bytes)
    }

    /// As for those who read records.
    private static let lineLimit = 1 << 26

    private static func record(_ line: [UInt8]) -> JSONObject? {
        try? JSONValue.parse(String(decoding: line, as: UTF8.self)).object
    }

    private static func text(_ value: JSONValue) -> String {
        switch value {
        case .null: ""
        case .string(let text): text
        default: value.text(pretty: false)
        }
    }

    private static func row(_ fields: [String]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (place, field) in fields.enumerated() {
            if place > 0 { bytes.append(comma) }
            // By bytes: a quotation mark and an accent after it would be one character, as are a line's two ends.
            let isQuoted = field.utf8.contains { $0 == quote || $0 == comma || $0 == 0x0A || $0 == 0x0D }
            if isQuoted { bytes.append(quote) }
            for byte in field.utf8 { bytes += byte == quote ? [quote, quote] : [byte] }
            if isQuoted { bytes.append(quote) }
        }
        return bytes + [0x0D, 0x0A]
    }

    private static let quote = UInt8(ascii: "\""), comma = UInt8(ascii: ",")
}

/// Why records are no table.
package struct TableError: Error, Sendable, CustomStringConvertible {
    package let description: String
}
