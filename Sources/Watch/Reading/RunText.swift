import JSON

/// Texts of a run folder, as a page shows them.
enum RunText {
    /// The text of what stands between two quotes of JSON; nil when that is none.
    static func unescaped(_ raw: UnsafeRawBufferPointer) -> String? {
        let quote = [UInt8(ascii: "\"")]
        return (try? JSONValue.parse(quote + Array(raw) + quote))?.string
    }

    /// The beginning of a text: at most so many bytes, of whole characters, with an ellipsis where it is cut.
    static func cut(_ text: String, to count: Int) -> String {
        guard text.utf8.count > count else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: count)
        while end > text.startIndex, String.Index(end, within: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        return text[..<end] + "…"
    }
}
