import Foundation
import Locking
import RunFiles

/// Reads what comes into the folders of runs, on a thread of its own.
final class WatchFollower: Sendable {
    private let board: WatchBoard
    private let bounds: RunDigest.Bounds
    private let isStopped = Locked(false)

    /// Seconds between two looks at the folders, while somebody looks at the page, and otherwise.
    private static let pace = 0.5, idlePace = 2.0
    /// Seconds that a page which is open already has for its first curves.
    private static let firstPause = 0.7

    init(_ board: WatchBoard, bounds: RunDigest.Bounds) {
        self.board = board
        self.bounds = bounds
    }

    func start() {
        let thread = Thread { [self] in
            // Curves first: they are there when the page is, however many responses there are.
            for (index, run) in board.all.enumerated() { begin(index, run.source) }
            // Reading the responses takes a core, which a browser that draws the first curves can have until then.
            if board.isLookedAt { Thread.sleep(forTimeInterval: Self.firstPause) }
            while !isStopped.withLock({ $0 }) {
                for (index, run) in board.all.enumerated() { follow(index, run) }
                let pause = board.isLookedAt ? Self.pace : Self.idlePace
                var left = pause
                while left > 0, !isStopped.withLock({ $0 }) {
                    Thread.sleep(forTimeInterval: 0.1)
                    left -= 0.1
                    // Somebody has come.
                    if pause == Self.idlePace, board.isLookedAt { break }
                }
            }
        }
        thread.name = "follower"
        thread.start()
    }

    func stop() { isStopped.withLock { $0 = true } }

    private func begin(_ index: Int, _ source: WatchSource) {
        guard case .folder(let run) = source else { return }
        let digest = RunDigest(curvesOf: run, bounds: bounds), isHeld = RunHolder.isHeld(run)
        publish(index, digest, isHeld)
    }

    private func follow(_ index: Int, _ watched: WatchedRun) {
        guard case .folder(let run) = watched.source, var digest = watched.digest else { return }
        let hasChanged = digest.follow(), isHeld = RunHolder.isHeld(run)
        if hasChanged || isHeld != watched.isHeld { publish(index, digest, isHeld) }
    }

    private func publish(_ index: Int, _ digest: RunDigest, _ isHeld: Bool) {
        board.update(index) {
            $0.digest = digest
            $0.isHeld = isHeld
            $0.digestRevision += 1
        }
    }
}
