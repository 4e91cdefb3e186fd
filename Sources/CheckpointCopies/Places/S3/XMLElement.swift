/// An element of a store's answer.
///
/// Read here, because answers are of a few plain elements, and come from a network: a library would bring entities,
/// includes and name spaces along. What is none of elements, text, the five entities and numbers is refused.
package struct XMLElement: Sendable, Equatable {
    package var name: String
    package var text = ""
    package var children: [XMLElement] = []

    /// The most elements within each other, and in all.
    package static let mostDepth = 8, mostCount = 50_000

    /// The text of a child; nil: it has none of that name.
    package subscript(_ name: String) -> String? { children.first { $0.name == name }?.text }

    /// Reads a document; nil: it is none, or has more than is read here.
    package init?(_ bytes: [UInt8]) {
        var reader = XMLReader(bytes: bytes)
        guard let root = reader.document() else { return nil }
        self = root
    }

    fileprivate init(name: String) { self.name = name }
}

private struct XMLReader {
    let bytes: [UInt8]
    var place = 0
    var count = 0

    mutating func document() -> XMLElement? {
        _ = skip("\u{FEFF}")
        skipSpace()
        if skip("<?xml") { guard skip(past: "?>") else { return nil } }
        skipSpace()
        guard skip("<"), let root = element(depth: 1) else { return nil }
        skipSpace()
        return place == bytes.count ? root : nil
    }

    /// An element whose `<` was read.
    private mutating func element(depth: Int) -> XMLElement? {
        count += 1
        guard depth <= XMLElement.mostDepth, count <= XMLElement.mostCount, let name = name() else { return nil }
        var element = XMLElement(name: name)
        // Attributes, which are names of name spaces and types.
        guard let isEmpty = tagEnd() else { return nil }
        if isEmpty { return element }
        var text: [UInt8] = []
        while place < bytes.count {
            let byte = bytes[place]
            place += 1
            switch byte {
            case UInt8(ascii: "<"):
                if skip("/") {
                    guard self.name() == name else { return nil }
                    skipSpace()
                    guard skip(">") else { return nil }
                    element.text = String(decoding: text, as: UTF8.self)
                    return element
                }
                guard let child = self.element(depth: depth + 1) else { return nil }
                element.children.append(child)
            case UInt8(ascii: "&"):
                guard let scalar = entity() else { return nil }
                text += Array(String(scalar).utf8)
            default: text.append(byte)
            }
        }
        return nil
    }

    private mutating func name() -> String? {
        let start = place
        while place < bytes.count, Self.isName(bytes[place]) { place += 1 }
        return place > start ? String(decoding: bytes[start..<place], as: UTF8.self) : nil
    }

    /// What is left of a tag: whether its element is empty; nil: it has no end.
    private mutating func tagEnd() -> Bool? {
        var quote: UInt8?
        while place < bytes.count {
            let byte = bytes[place]
            place += 1
            if let open = quote {
                if byte == open { quote = nil }
            } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
                quote = byte
            } else if byte == UInt8(ascii: ">") {
                return bytes[place - 2] == UInt8(ascii: "/")
            } else if byte == UInt8(ascii: "<") {
                return nil
            }
        }
        return nil
    }

    /// What an entity stands for whose `&` was read.
    private mutating func entity() -> Unicode.Scalar? {
        guard let end = bytes[place...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else { return nil }
        let name = String(decoding: bytes[place..<end], as: UTF8.self)
        place = end + 1
        switch name {
        case "amp": return "&"
        case "lt": return "<"
        case "gt": return ">"
        case "quot": return "\""
        case "apos": return "'"
        default:
            guard name.hasPrefix("#") else { return nil }
            let isHex = name.hasPrefix("#x")
            return UInt32(name.dropFirst(isHex ? 2 : 1), radix: isHex ? 16 : 10).flatMap(Unicode.Scalar.init)
        }
    }

    private mutating func skip(_ text: String) -> Bool {
        guard bytes[place...].starts(with: text.utf8) else { return false }
        place += text.utf8.count
        return true
    }

    private mutating func skip(past text: String) -> Bool {
        while place < bytes.count {
            if skip(text) { return true }
            place += 1
        }
        return false
    }

    private mutating func skipSpace() {
        while place < bytes.count, bytes[place] == 0x20 || (0x9...0xd).contains(bytes[place]) { place += 1 }
    }

    private static func isName(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
            || ":_-.".utf8.contains(byte)
    }
}
