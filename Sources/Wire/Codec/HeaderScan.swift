/// Counts a header's items before memory is taken for them.
///
/// An empty item is two bytes on the wire and more than a hundred once decoded, so the bound on a header's size alone
/// would let a stranger's 4 MiB take half a gigabyte.
struct HeaderScan {
    private(set) var arrays = 0
    /// Sub-messages and texts in the body. A body that comes in several pieces is merged: they count together.
    private(set) var items = 0

    /// Looks at the fields of the envelope and of its body. What is not protobuf is left for the decoder to refuse.
    init(_ header: [UInt8]) {
        header.withUnsafeBytes { bytes in
            Self.forEachField(bytes) { number, content in
                if number == 1 { return arrays += 1 }
                Self.forEachField(content) { _, _ in items += 1 }
            }
        }
    }

    /// Calls `body` with number and content of every field that holds bytes.
    private static func forEachField(
        _ bytes: UnsafeRawBufferPointer, _ body: (_ number: UInt64, _ content: UnsafeRawBufferPointer) -> Void
    ) {
        var position = 0
        func varint() -> UInt64? {
            var value: UInt64 = 0
            for shift in stride(from: UInt64(0), to: 64, by: 7) {
                guard position < bytes.count else { return nil }
                let byte = bytes[position]
                position += 1
                value |= UInt64(byte & 0x7f) << shift
                if byte < 0x80 { return value }
            }
            return nil
        }
        while let tag = varint() {
            switch tag & 7 {
            case 0: guard varint() != nil else { return }
            case 1: position += 8
            case 2:
                guard let count = varint(), count <= UInt64(max(0, bytes.count - position)) else { return }
                let end = position + Int(count)
                body(tag >> 3, UnsafeRawBufferPointer(rebasing: bytes[position..<end]))
                position = end
            case 3, 4: break  // The marks of a group: what is in it counts as if it were outside.
            case 5: position += 4
            default: return
            }
        }
    }
}
