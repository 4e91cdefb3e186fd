import JSON

/// The page of runs that are watched: the same as a report's, without data, for which it asks its server.
struct LivePage {
    private let sources: [WatchSource]
    private let library: ChartLibrary?
    private let program: String

    init(_ sources: [WatchSource], library: ChartLibrary?, program: String) {
        self.sources = sources
        self.library = library
        self.program = program
    }

    var html: String {
        let names = sources.names
        let runs = zip(sources, names).map { source, name in
            var fields = [("name", JSONText.string(RunText.cut(name, to: 4000)))]
            if case .endpoint = source { fields.append(("endpoint", "true")) }
            return JSONText.object(fields)
        }
        let document = JSONText.object([
            ("format", String(ReportPage.version)), ("program", JSONText.string(program)), ("live", "true"),
            ("runs", "[" + runs.joined(separator: ",") + "]"),
        ])
        return PageMarkup(
            title: names.joined(separator: ", "), document: document, library: library, isLive: true
        ).html
    }
}
