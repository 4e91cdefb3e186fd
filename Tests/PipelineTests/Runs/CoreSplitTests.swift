import Runs
import Testing

/// How a machine's cores are given to the processes of a run.
@Suite struct CoreSplitTests {
    private typealias Timing = CoreSplit.Timing

    /// Seconds of a stage with a part that no core shortens and one that all share, for crews of one process.
    private static func timings(fixed: Double, shared: Double, cores: [Int]) -> [CoreSplit.Timing] {
        cores.map { .init(.init(1, threads: $0), seconds: fixed + shared / Double($0)) }
    }

    /// Stages that take turns have all cores each, and as many processes as were fastest.
    @Test func stagesThatTakeTurns() {
        let split = CoreSplit(
            cores: 8, overlaps: false,
            timings: [
                .training: [Timing(.init(1, threads: 8), seconds: 1)],
                .sampling: [
                    Timing(.init(1, threads: 8), seconds: 3), Timing(.init(2, threads: 4), seconds: 2),
                    Timing(.init(4, threads: 2), seconds: 2.5),
                ],
                .grading: [Timing(.init(1, threads: 8), seconds: 1)],
            ])
        #expect(
            split.crews == [
                .training: .init(1, threads: 8), .sampling: .init(2, threads: 4), .grading: .init(1, threads: 8),
            ])
        #expect(split.seconds == 4 && split.busyShare == 0.25 && !split.isApart)
        #expect(
            split.lines == [
                "sampling a step takes 3.0 s with 1 worker of 8 threads, 2.0 s with 2 workers of 4 threads each, 2.5 s with "
                    + "4 workers of 2 threads each",
                "grading a step takes 1.0 s with 1 scorer of 8 threads",
                "training a step takes 1.0 s with 1 learner of 8 threads",
                "chosen for 8 cores: sampling by 2 workers of 4 threads each, grading by 1 scorer of 8 threads, training by 1 "
                    + "learner of 8 threads",
                "a step takes about 4.0 s, and the learner trains for 25% of it: with pipeline.max_staleness 0 the parts "
                    + "take turns, each with all cores",
            ])
    }

    /// Where every core does its full share, cores of one's own gain nothing over turns.
    @Test func workThatAllCoresShare() {
        let timings: [CoreSplit.Stage: [CoreSplit.Timing]] = [
            .training: Self.timings(fixed: 0, shared: 8, cores: [8, 4]),
            .sampling: Self.timings(fixed: 0, shared: 16, cores: [8, 4]),
        ]
        let split = CoreSplit(cores: 8, overlaps: true, timings: timings)
        #expect(!split.isApart)
        #expect(split.seconds == 3)
    }

    /// What cores do not shorten is done beside other work.
    @Test func workThatCoresDoNotShorten() {
        let timings: [CoreSplit.Stage: [CoreSplit.Timing]] = [
            .training: Self.timings(fixed: 1, shared: 8, cores: [8, 4]),
            .sampling: Self.timings(fixed: 3, shared: 2, cores: [8, 4]),
            .grading: Self.timings(fixed: 0.5, shared: 1, cores: [8, 4]),
        ]
        let split = CoreSplit(cores: 8, overlaps: true, timings: timings)
        #expect(split.isApart)
        // Of 21 ways this is the best: 3 + 2 / 2, 0.5 + 1 / 1 and 1 + 8 / 5 seconds; another of 4 s has no more.
        #expect(abs(split.seconds - Self.best(timings, cores: 8)) < 1e-9)
        #expect(split.crews.values.reduce(0) { $0 + $1.processes * $1.threads } <= 8)
        #expect(split.lines.last?.contains("each part has cores of its own, and sampling takes the longest") == true)
    }

    /// The longest stage of the best of all ways, from the law by which the timings were made.
    private static func best(_ timings: [CoreSplit.Stage: [CoreSplit.Timing]], cores: Int) -> Double {
        func seconds(_ stage: CoreSplit.Stage, _ count: Int) -> Double {
            let known = timings[stage]!, a = known[0], b = known[1]
            let shared = (b.seconds - a.seconds) / (1 / Double(b.crew.threads) - 1 / Double(a.crew.threads))
            return a.seconds - shared / Double(a.crew.threads) + shared / Double(count)
        }
        var best = Double.infinity
        for a in 1..<cores {
            for b in 1..<cores where cores - a - b >= 1 {
                best = min(best, max(seconds(.training, a), seconds(.sampling, b), seconds(.grading, cores - a - b)))
            }
        }
        return best
    }

    /// Whatever was measured: everybody has a thread, and nobody's cores are given twice.
    @Test(arguments: 1...12) func nobodyIsLeftWithoutCores(cores: Int) {
        for number in 0..<50 {
            func seconds(_ place: Int) -> Double { Double((number * 37 + place * 101) % 97 + 1) / 10 }
            func timings(_ place: Int) -> [CoreSplit.Timing] {
                let budgets = cores > 1 ? [cores, cores / 2] : [1]
                return budgets.enumerated().flatMap { index, budget in
                    [1, 2, 4].filter { $0 <= budget }.map {
                        Timing(.init($0, threads: budget / $0), seconds: seconds(place + index) * Double($0 % 3 + 1))
                    }
                }
            }
            var all: [CoreSplit.Stage: [CoreSplit.Timing]] = [.training: timings(0), .sampling: timings(5)]
            if number % 2 == 0 { all[.grading] = timings(11) }
            let split = CoreSplit(cores: cores, overlaps: number % 3 > 0, timings: all)
            #expect(Set(split.crews.keys) == Set(all.keys))
            #expect(split.crews.values.allSatisfy { $0.processes >= 1 && $0.threads >= 1 })
            let used = split.crews.values.map { $0.processes * $0.threads }
            #expect(split.isApart ? used.reduce(0, +) <= cores : used.allSatisfy { $0 <= cores })
            #expect((0...1).contains(split.busyShare))
        }
    }
}
