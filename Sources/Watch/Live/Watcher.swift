import Foundation
import Locking
import PageServer
import RunFiles

/// Shows runs to browsers while they go on: reads their folders, asks their learners, and serves a page.
///
/// It is a process of its own that opens what it reads for reading only and takes no lock, so that a run neither waits
/// for it nor notices its end.
package final class Watcher: Sendable {
    /// How the page is served.
    package struct Options: Sendable {
        /// Address to listen at.
        package var host = "127.0.0.1"
        /// Where it listens; nil: at ``defaultPort``, or a free one where that is in use.
        package var port: UInt16?
        /// What lets a browser in; nil: none is needed, and then only this machine can be listened for.
        package var token: String?
        /// What draws the curves; nil: tables stand in their place.
        package var library: ChartLibrary?
        /// What serves the page, such as `opd 0.1.0`.
        package var program = ""

        package init() {}
    }

    package static let defaultPort: UInt16 = 7717

    private let board: WatchBoard
    private let follower: WatchFollower
    private let server: PageServer
    private let questions: Task<Void, Never>
    private let hasEnded: Locked<String?>

    /// Begins to read and to serve.
    /// - Parameter ask: asks a learner.
    package init(
        _ sources: [WatchSource], options: Options,
        ask: @escaping @Sendable (_ run: RunFolder?, _ endpoint: String) async -> StatusAnswer
    ) throws(PageServerError) {
        guard options.token != nil || PageServer.isLoopback(options.host) else {
            throw PageServerError(message: "others can reach \(options.host): pages there need a token")
        }
        let board = WatchBoard(sources), hasEnded = Locked<String?>(nil)
        let routes = WatchRoutes(
            board: board, page: LivePage(sources, library: options.library, program: options.program).html,
            ending: { hasEnded.withLock { $0 } })
        do {
            server = try PageServer(
                host: options.host, port: options.port ?? Self.defaultPort, or: options.port == nil ? [0] : [],
                access: options.token.map { .holders(of: $0) } ?? .thisMachine, answer: routes.answer)
        } catch {
            throw PageServerError(message: "\(error); choose another with --host or --port")
        }
        self.board = board
        self.hasEnded = hasEnded
        follower = WatchFollower(board, bounds: .init(runs: sources.count))
        let questioner = WatchQuestions(board, ask)
        questions = Task { await questioner.run() }
        address =
            "http://\(options.host.contains(":") ? "[\(options.host)]" : options.host):\(server.port)/"
            + (options.token.map { "?token=\($0)" } ?? "")
        follower.start()
        server.start()
    }

    /// What to open in a browser.
    package let address: String

    /// Tells the pages why there will be no more news, and ends.
    package func stop(because reason: String) {
        // What the run wrote last is read before.
        if board.isLookedAt { Thread.sleep(forTimeInterval: 0.7) }
        hasEnded.withLock { $0 = reason }
        questions.cancel()
        if board.isLookedAt { Thread.sleep(forTimeInterval: 0.5) }
        follower.stop()
        server.stop()
    }
}
