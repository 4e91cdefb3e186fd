import Foundation
import JSON
import PageServer

/// What is at which address of a watcher.
struct WatchRoutes: Sendable {
    let board: WatchBoard
    let page: String
    /// Why the watcher ends; nil while it does not.
    let ending: @Sendable () -> String?
    /// The numbers, by what is known of every run; and the responses of the run that was asked for last.
    private let numbers = KeptText<[[Int]]>(), responses = KeptText<[Int]>()

    /// Seconds between two looks at the board, and while the folders are read for the first time.
    private static let pace = 0.2, firstPace = 0.02
    /// A line now and then tells a page, and what is between, that the connection is alive.
    private static let silence: Duration = .seconds(10)

    init(board: WatchBoard, page: String, ending: @escaping @Sendable () -> String?) {
        self.board = board
        self.page = page
        self.ending = ending
    }

    @Sendable func answer(_ request: RequestHead) -> Response {
        switch request.path {
        case "/": Response(200, "text/html; charset=utf-8", page)
        case "/events": Response(200, "text/event-stream; charset=utf-8", body: .stream(events))
        case "/samples": samples(request.query["run", default: "0"])
        case "/metrics": metrics()
        default: .notFound
        }
    }

    private func metrics() -> Response {
        board.look()
        let runs = board.all
        let key = runs.map { [$0.digestRevision, $0.answerRevision, $0.isHeld ? 1 : 0] }
        let text = numbers.text(for: key) { PrometheusText(runs).text }
        return Response(200, "text/plain; version=0.0.4; charset=utf-8", text)
    }

    private func samples(_ number: String) -> Response {
        guard let index = Int(number), let run = board.run(index) else { return .notFound }
        board.look()
        let text = responses.text(for: [index, run.digestRevision]) {
            let list = run.digest?.sampleList ?? []
            return JSONText.object([
                ("total", String(run.digest?.samples.total ?? 0)), ("samples", "[\(list.joined(separator: ","))]"),
            ])
        }
        return Response(200, "application/json; charset=utf-8", text)
    }

    @Sendable private func events(_ writer: StreamWriter) {
        var cursors = board.all.indices.map { WatchEvents(run: $0) }
        // A page that lost its watcher looks for it again after so many milliseconds.
        guard writer.send("retry: 2000\n\n") else { return }
        var spoken = ContinuousClock.now
        while writer.isOpen {
            board.look()
            let ending = ending()
            var events = ""
            for (index, run) in board.all.enumerated() { events += cursors[index].next(run) }
            if let ending { events += WatchEvents.event("end", [("why", JSONText.string(ending))]) }
            if events.isEmpty, .now - spoken > Self.silence { events = ": nothing new\n\n" }
            if !events.isEmpty {
                guard writer.send(events) else { return }
                spoken = .now
            }
            if ending != nil { return }
            Thread.sleep(forTimeInterval: board.isBegun ? Self.pace : Self.firstPace)
        }
    }
}
