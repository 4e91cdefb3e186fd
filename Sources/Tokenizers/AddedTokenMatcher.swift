/// Finds added tokens in a text: leftmost first, the longest of those that start at one place.
struct AddedTokenMatcher: Sendable {
    /// A piece of a text: an added token, or what lies between.
    struct Piece {
        var range: Range<Int>
        var id: Int32?
    }

    private struct Node: Sendable {
        var children: [UInt8: Int32] = [:]
        var token: Int32 = -1
    }

    private var nodes = [Node()]
    private var tokens: [TokenizerDefinition.AddedToken] = []
    private var starts = [Bool](repeating: false, count: 256)

    var isEmpty: Bool { tokens.isEmpty }

    init(_ added: [TokenizerDefinition.AddedToken]) {
        for token in added {
            let bytes = Array(token.content.utf8)
            guard let first = bytes.first else { continue }
            starts[Int(first)] = true
            var node = 0
            for byte in bytes {
                if let next = nodes[node].children[byte] {
                    node = Int(next)
                } else {
                    nodes.append(Node())
                    nodes[node].children[byte] = Int32(nodes.count - 1)
                    node = nodes.count - 1
                }
            }
            // The first of two tokens with one content wins.
            if nodes[node].token < 0 {
                nodes[node].token = Int32(tokens.count)
                tokens.append(token)
            }
        }
    }

    /// Cuts `text`, valid UTF-8, at its added tokens; no piece is empty.
    func split(_ text: [UInt8]) -> [Piece] {
        guard !text.isEmpty else { return [] }
        guard !tokens.isEmpty else { return [Piece(range: 0..<text.count, id: nil)] }
        var pieces: [Piece] = []
        var covered = 0
        var position = 0
        while position < text.count {
            guard starts[Int(text[position])], let (token, matchEnd) = longest(text, at: position) else {
                position += 1
                continue
            }
            var (start, end) = (position, matchEnd)
            position = matchEnd
            if token.singleWord, Self.isWord(before: start, in: text) || Self.isWord(at: end, in: text) { continue }
            if token.stripsLeft {
                while start > covered, let (scalar, length) = Self.scalar(before: start, in: text),
                    scalar.properties.isWhitespace
                {
                    start -= length
                }
                start = max(start, covered)
            }
            if token.stripsRight {
                while let (scalar, length) = Self.scalar(at: end, in: text), scalar.properties.isWhitespace {
                    end += length
                }
            }
            if covered < start { pieces.append(Piece(range: covered..<start, id: nil)) }
            // A token within the white space that the last one took along: alone it stays, one that takes white space
            // before it along, too, is gone; what follows it comes again. So the Hugging Face library does.
            if start < end { pieces.append(Piece(range: start..<end, id: token.id)) }
            covered = end
        }
        if covered < text.count { pieces.append(Piece(range: covered..<text.count, id: nil)) }
        return pieces
    }

    private func longest(_ text: [UInt8], at start: Int) -> (TokenizerDefinition.AddedToken, Int)? {
        var node = 0
        var found: (Int32, Int)?
        var position = start
        while position < text.count, let next = nodes[node].children[text[position]] {
            node = Int(next)
            position += 1
            if nodes[node].token >= 0 { found = (nodes[node].token, position) }
        }
        return found.map { (tokens[Int($0.0)], $0.1) }
    }

    private static func scalar(at position: Int, in text: [UInt8]) -> (Unicode.Scalar, Int)? {
        guard position < text.count else { return nil }
        var decoder = UTF8()
        var iterator = text[position..<min(position + 4, text.count)].makeIterator()
        guard case .scalarValue(let scalar) = decoder.decode(&iterator) else { return nil }
        return (scalar, UTF8.width(scalar))
    }

    private static func scalar(before position: Int, in text: [UInt8]) -> (Unicode.Scalar, Int)? {
        guard position > 0 else { return nil }
        var start = position - 1
        while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
        return scalar(at: start, in: text)
    }

    private static func isWord(before position: Int, in text: [UInt8]) -> Bool {
        scalar(before: position, in: text).map { $0.0.isWordCharacter } ?? false
    }

    private static func isWord(at position: Int, in text: [UInt8]) -> Bool {
        scalar(at: position, in: text).map { $0.0.isWordCharacter } ?? false
    }
}
