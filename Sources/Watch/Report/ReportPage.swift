import JSON

/// A page of one or several runs that needs nothing beside it: markup, style, scripts and data in one text.
///
/// The data stand in the page as JSON without a `<`, and the page's script makes nodes of text of them, never markup.
/// Should that fail, the page's policy still runs no script but those whose hashes it names, and loads nothing.
package struct ReportPage {
    package static let version = 1

    private let runs: [RunDigest]
    private let library: ChartLibrary?
    private let program: String

    /// - Parameters:
    ///   - library: nil: tables in place of curves.
    ///   - program: what has made the page, such as `opd 0.1.0`.
    package init(_ runs: [RunDigest], library: ChartLibrary?, program: String) {
        self.runs = runs
        self.library = library
        self.program = program
    }

    /// What the page draws.
    package var document: String {
        JSONText.object([
            ("format", String(Self.version)), ("program", JSONText.string(program)),
            ("runs", "[" + runs.map(\.document).joined(separator: ",\n") + "]"),
        ])
    }

    package var html: String {
        PageMarkup(title: runs.map(\.name).joined(separator: ", "), document: document, library: library).html
    }

    /// See ``PageMarkup/embedded(_:)``.
    package static func embedded(_ json: String) -> String { PageMarkup.embedded(json) }
}
