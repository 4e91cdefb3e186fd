import CKernels
import COneDNN

/// Threads that share loops: `threads` of them, the caller included.
///
/// Idle threads spin about 40 microseconds and then sleep, since several processes share the cores. One caller at a
/// time; which thread runs which item is not defined, so results must not depend on it.
package final class ThreadTeam {
    package let threads: Int
    private let team: OpaquePointer

    /// `threads` at least 1.
    package init(threads: Int) {
        precondition(threads >= 1, "a thread team of \(threads)")
        // Thread creation fails only when the system is out of resources.
        guard let team = ck_team_create(Int32(threads), od_thread_enter) else {
            fatalError("cannot start \(threads) threads: check the process limit (ulimit -u)")
        }
        self.threads = threads
        self.team = team
    }

    deinit { ck_team_destroy(team) }

    /// Calls `body` once for each item in 0 ..< items and returns when all are done.
    ///
    /// Items are claimed in ascending order. Runs on the caller alone when there is one item or one thread.
    package func run(items: Int, _ body: (_ item: Int, _ thread: Int) -> Void) {
        if items <= 0 { return }
        od_thread_enter()
        if items == 1 || threads == 1 {
            for item in 0..<items { body(item, 0) }
            return
        }
        runOnTeam(team, items, body)
    }

    /// Splits 0 ..< count into runs of at most `chunk` and calls `body` for each.
    package func run(count: Int, chunk: Int, _ body: (_ range: Range<Int>, _ thread: Int) -> Void) {
        run(items: (count + chunk - 1) / chunk) { item, thread in
            body(item * chunk..<min(count, (item + 1) * chunk), thread)
        }
    }
}

/// The team's loop in team.c, which calls closures as Swift does: that convention is the toolchain's, and a test bears its
/// name. A C function's context would have to be a closure that may escape, which takes memory from the heap for every
/// loop of every token.
@_silgen_name("ck_team_run")
private func runOnTeam(_ team: OpaquePointer, _ items: Int, _ body: (_ item: Int, _ thread: Int) -> Void)
