/// Reads comma-separated values as RFC 4180 describes them: fields in double quotes may hold commas, line feeds and
/// doubled quotes. A byte order mark and empty lines are skipped, and lines may end with a line feed alone.
///
/// The libraries of this language for it guess types or keep every field as an object; this one reads strangers' bytes,
/// a row at a time, and says with its line what it does not understand.
struct CSVReader {
    /// One row of a file.
    struct Row: Equatable {
        /// Where it begins, counted from 1.
        var line: Int
        var fields: [String]
    }

    /// More columns than any table of prompts has.
    static let columnLimit = 4096

    private let bytes: UnsafeRawBufferPointer
    private var position = 0
    private var line = 1

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { position = 3 }
    }

    /// What is wrong with a row, and where it begins.
    struct Flaw: Error, Equatable {
        var line: Int
        var message: String
    }

    /// The next row; nil at the end of the bytes.
    ///
    /// After a flaw reading goes on behind the line in which it was found.
    mutating func next() throws(Flaw) -> Row? {
        while let byte = current, byte == Self.lineFeed || byte == Self.carriageReturn { advance() }
        guard position < bytes.count else { return nil }
        let start = line
        var fields: [String] = []
        while true {
            fields.append(try field(from: start))
            guard fields.count <= Self.columnLimit else {
                throw flaw(start, "has more than \(Self.columnLimit) columns")
            }
            guard current == Self.comma else { break }
            advance()
        }
        if current == Self.carriageReturn { advance() }
        guard current == nil || current == Self.lineFeed else {
            throw flaw(start, "text follows a closing quote; quotes within a quoted field are doubled")
        }
        if current != nil { advance() }
        return Row(line: start, fields: fields)
    }

    /// Reads a field up to the comma or the end of the line behind it.
    private mutating func field(from row: Int) throws(Flaw) -> String {
        var text: [UInt8] = []
        if current == Self.quote {
            advance()
            while true {
                guard let byte = current else { throw flaw(row, "a quoted field does not end") }
                advance()
                if byte == Self.quote {
                    guard current == Self.quote else { break }
                    advance()
                }
                text.append(byte)
            }
        } else {
            while let byte = current, byte != Self.comma, byte != Self.lineFeed {
                if byte == Self.carriageReturn, position + 1 == bytes.count || bytes[position + 1] == Self.lineFeed {
                    break
                }
                guard byte != Self.quote else {
                    throw flaw(row, "a quote stands within a field that does not begin with one")
                }
                text.append(byte)
                advance()
            }
        }
        guard let string = String(validating: text, as: UTF8.self) else { throw flaw(row, "is not UTF-8 text") }
        return string
    }

    private mutating func flaw(_ line: Int, _ message: String) -> Flaw {
        while let byte = current, byte != Self.lineFeed { advance() }
        return Flaw(line: line, message: message)
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func advance() {
        if bytes[position] == Self.lineFeed { line += 1 }
        position += 1
    }

    private static let comma = UInt8(ascii: ","), quote = UInt8(ascii: "\"")
    private static let lineFeed = UInt8(ascii: "\n"), carriageReturn = UInt8(ascii: "\r")
}
