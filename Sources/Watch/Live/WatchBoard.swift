import Locking

/// What is known of the runs: written by those who follow them, read by the connections.
final class WatchBoard: Sendable {
    private let runs: Locked<[WatchedRun]>
    private let lastLook = Locked<ContinuousClock.Instant?>(nil)

    /// The time without a look after which nobody asks the learners.
    private static let interest: Duration = .seconds(15)

    init(_ sources: [WatchSource]) {
        runs = Locked(zip(sources, sources.names).map { WatchedRun(source: $0, name: $1) })
    }

    /// All of the runs, in the order in which they were given.
    var all: [WatchedRun] { runs.withLock { $0 } }

    /// Whether every folder was read once.
    var isBegun: Bool { runs.withLock { $0.allSatisfy(\.isBegun) } }

    func run(_ index: Int) -> WatchedRun? { runs.withLock { $0.indices.contains(index) ? $0[index] : nil } }

    func update(_ index: Int, _ change: (inout WatchedRun) -> Void) { runs.withLock { change(&$0[index]) } }

    /// Says that somebody looks.
    func look() { lastLook.withLock { $0 = .now } }

    /// Whether somebody has looked lately.
    var isLookedAt: Bool {
        guard let last = lastLook.withLock({ $0 }) else { return false }
        return .now - last < Self.interest
    }
}
