import Files

/// The library that draws the page's curves, dygraphs, from where a distribution has installed it (Debian's
/// libjs-dygraphs); it is put into the page as it is.
package struct ChartLibrary: Sendable {
    package let script: String
    package let style: String

    /// Where Debian has it.
    package static let folders = ["/usr/share/javascript/dygraphs"]

    /// Ten times what it has.
    private static let limit = 2 << 20

    /// - Parameter folder: with `dygraph.min.js` and `dygraph.min.css` in it.
    /// - Returns: nil where it is not, or is nothing that can stand in a page.
    package init?(in folder: String) {
        guard let script = try? FileTree.read("\(folder)/dygraph.min.js", limit: Self.limit),
            let style = try? FileTree.read("\(folder)/dygraph.min.css", limit: Self.limit),
            script.contains("Dygraph"), !Self.endsElement(script), !Self.endsElement(style)
        else { return nil }
        self.script = Self.withoutSourceMap(script)
        self.style = Self.withoutSourceMap(style)
    }

    /// The first that is installed.
    package static func installed() -> ChartLibrary? { folders.lazy.compactMap { ChartLibrary(in: $0) }.first }

    /// Whether a text would end the element that it stands in, or hide what follows.
    private static func endsElement(_ text: String) -> Bool {
        let lowered = text.lowercased()
        return ["</script", "</style", "<!--"].contains { lowered.contains($0) }
    }

    /// A browser would look for the map beside the page.
    private static func withoutSourceMap(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false)
            .filter { !$0.contains("sourceMappingURL=") || $0.utf8.count > 200 }.joined(separator: "\n")
    }
}
