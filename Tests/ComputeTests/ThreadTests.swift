import Compute
import Foundation
import Locking
import Synchronization
import Testing

@Suite struct ThreadTests {
    @Test(arguments: [1, 2, 3, 5])
    func everyItemRunsOnce(threads: Int) {
        let team = ThreadTeam(threads: threads)
        for items in [0, 1, 2, 3, 7, 100, 1000] {
            let counts = (0..<items).map { _ in Counter() }
            let rounds = items < 10 ? 300 : 10
            for _ in 0..<rounds {
                team.run(items: items) { item, thread in
                    #expect(thread >= 0 && thread < threads)
                    counts[item].value.add(1, ordering: .relaxed)
                }
            }
            for counter in counts { #expect(counter.value.load(ordering: .relaxed) == rounds) }
        }
    }

    /// team.c calls a Swift closure by the convention of Swift: two arguments in registers, the context in one of its
    /// own. A toolchain with another convention gives wrong arguments or captures here, or ends the process.
    @Test func teamCallsSwiftClosuresBySwiftsConvention() {
        let threads = 3, items = 257
        let team = ThreadTeam(threads: threads)
        let seen = (0..<items).map { _ in Counter() }
        // Captures of several sizes, of which one is changed between the runs.
        let factor = 31, text = "a text too long for a string without memory of its own", offset = 7.5
        var round = 0
        for _ in 0..<20 {
            round += 1
            team.run(items: items) { item, thread in
                let isRight = thread >= 0 && thread < threads && text.utf8.count == 54 && offset == 7.5
                seen[item].value.add(isRight ? item * factor + round : -1, ordering: .relaxed)
            }
        }
        for (item, counter) in seen.enumerated() {
            #expect(counter.value.load(ordering: .relaxed) == 20 * item * factor + 210)
        }
    }

    final class Counter: Sendable {
        let value = Atomic<Int>(0)
    }

    /// Threads that went to sleep between runs are woken.
    @Test func sleepersWake() async throws {
        let team = ThreadTeam(threads: 2)
        for _ in 0..<5 {
            let sum = Counter()
            team.run(items: 8) { item, _ in sum.value.add(item, ordering: .relaxed) }
            #expect(sum.value.load(ordering: .relaxed) == 28)
            try await Task.sleep(for: .milliseconds(3))
        }
    }

    actor Pinned {
        private nonisolated let executor = PinnedThreadExecutor(name: "opd-test-pinned")
        nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
        private let context: ComputeContext
        private var calls = 0

        init(threads: Int) { context = ComputeContext(threads: threads) }

        func call() throws -> (Int, String) {
            calls += 1
            var sum = 0
            context.team.run(items: 1) { item, _ in sum += item }
            return (calls + sum, try Self.thread())
        }

        /// Names the thread that calls. Asked of the system: a compiler may take `pthread_self` for a constant of the
        /// whole function, and so ask on the thread before.
        static func thread() throws -> String {
            try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")
        }
    }

    @Test func actorStaysOnItsThread() async throws {
        let actor = Pinned(threads: 2)
        var threads: Set<String> = []
        for i in 1...50 {
            let (calls, thread) = try await actor.call()
            #expect(calls == i)
            threads.insert(thread)
        }
        #expect(threads.count == 1)
        // As long as the actor lives, its thread is nobody else's.
        let other = try await Task.detached { try Pinned.thread() }.value
        withExtendedLifetime(actor) { #expect(!threads.contains(other)) }
    }

    @Test func machineLimitsArePlausible() {
        let context = ComputeContext(threads: 2)
        #expect(MachineLimits.matmulRate(context: context, type: .f32) > 1e9)
        #expect(MachineLimits.memoryBandwidth(threads: 2) > 1e8)
        #expect(!context.summary.isEmpty)
    }
}
