import RunFiles
import Testing

/// Every order of things, not some.
@Suite struct TermModelTests {
    /// The first problem of all states that can be reached, and how many there are.
    private func explore(_ start: TermModel, _ fence: TermModel.Fence) -> (problem: String?, states: Int) {
        var known: Set<TermModel> = [start], open = [start]
        while !open.isEmpty {
            var found: [TermModel] = []
            for state in open {
                for next in state.successors(fence) where known.insert(next).inserted {
                    if let problem = next.problem { return (problem, known.count) }
                    found.append(next)
                }
            }
            open = found
        }
        return (nil, known.count)
    }

    @Test func noStepOfAnEarlierTermBecomesPartOfTheRun() {
        let result = explore(TermModel(standbys: 2), .whole)
        #expect(result.problem == nil)
        #expect(result.states > 100_000, "\(result.states)")
    }

    /// What keeps the promise is each part of the fence: without one the model finds how it is broken.
    @Test(arguments: TermModel.Fence.allCases.filter { $0 != .whole })
    func aWeakerFenceIsFoundOut(_ fence: TermModel.Fence) {
        #expect(explore(TermModel(standbys: 1), fence).problem != nil)
    }

    // MARK: Time

    /// A holder and a watcher, second by second, with either standing still and the file system slow or away.
    private struct Clocked: Hashable {
        static let after: Duration = .seconds(10)
        var watch = TermWatch(after: after)
        var clock = TermClock(TermTimes(after: after), begunAt: .zero)
        var beat: UInt8 = 0
        /// A sign that others see a second after it was begun.
        var late: UInt8?
        var second = 0
        /// Whether the holder's deadline has passed since the watcher last saw a sign.
        var hasLapsed = false

        var now: Duration { .seconds(second) }

        mutating func look() -> Bool {
            watch.saw(TermSight(number: 1, bytes: [beat]), isDead: false, now: now) == .take
        }

        /// What can happen in a second.
        func nexts() -> [(state: Clocked, takes: Bool)] {
            var states: [(Clocked, Bool)] = []
            for renews in [nil, false, true] {
                for looks in [false, true] {
                    var next = self
                    next.second += 1
                    if next.clock.isOver(at: next.now) { next.hasLapsed = true }
                    if let late { next.beat = late }
                    next.late = nil
                    if let isLate = renews {
                        if isLate { next.late = next.beat &+ 1 } else { next.beat &+= 1 }
                        next.clock.renewed(begunAt: next.now)
                    }
                    let takes = looks && next.look()
                    if looks, next.watch.silence == .zero { next.hasLapsed = false }
                    states.append((next, takes))
                }
            }
            return states
        }
    }

    /// A holder that keeps its deadline is never replaced; one that does not stands still, by its own clock, before
    /// another is there.
    @Test func aTermIsTakenOnlyWhenItHasLapsed() {
        var known: Set<Clocked> = [Clocked()], open = [Clocked()], takes = 0
        for _ in 0..<16 {
            var found: [Clocked] = []
            for state in open {
                for (next, isTaken) in state.nexts() {
                    if isTaken {
                        takes += 1
                        #expect(next.hasLapsed, "\(next)")
                    } else if known.insert(next).inserted {
                        found.append(next)
                    }
                }
            }
            open = found
        }
        #expect(takes > 0 && known.count > 1000)
    }

    @Test func aSilentHolderIsReplacedInTime() {
        var watch = TermWatch(after: .seconds(10)), second = 0
        while watch.saw(TermSight(number: 1, bytes: [1]), isDead: false, now: .seconds(second)) == .wait { second += 1 }
        #expect(second == 10)
    }

    @Test func aWatcherThatStoodStillLooksAgain() {
        var watch = TermWatch(after: .seconds(10))
        let sight = TermSight(number: 1, bytes: [1])
        #expect(watch.saw(sight, isDead: false, now: .zero) == .wait)
        #expect(watch.saw(sight, isDead: false, now: .seconds(3600)) == .wait)
        #expect(watch.silence < .seconds(10))
    }

    @Test func theHoldersOwnSilenceCountsWhenItIsLonger() {
        let record = TermRecord(holder: 1, term: 3, host: "b@h", process: 1, after: .seconds(20))
        var watch = TermWatch(after: .seconds(10)), second = 0
        let sight = TermSight(number: 3, bytes: record.bytes)
        while watch.saw(sight, isDead: false, now: .seconds(second)) == .wait { second += 1 }
        #expect(second == 20)
    }

    @Test func whatTheHolderSaysDecides() {
        func verdict(_ state: TermRecord.State, number: Int = 3, isDead: Bool = false) -> TermWatch.Verdict {
            var record = TermRecord(holder: 1, term: 3, host: "b@h", process: 1, after: .seconds(20))
            record.state = state
            var watch = TermWatch(after: .seconds(10))
            return watch.saw(TermSight(number: number, bytes: record.bytes), isDead: isDead, now: .zero)
        }
        #expect(verdict(.held) == .wait && verdict(.held, isDead: true) == .take)
        #expect(verdict(.handedOver) == .take)
        for state in [TermRecord.State.stopped, .failed, .finished] {
            guard case .over(let record) = verdict(state), record.state == state else {
                Issue.record("\(state)")
                continue
            }
        }
        // The record of the term before, while another takes over.
        #expect(verdict(.handedOver, number: 4) == .wait && verdict(.finished, number: 4) == .wait)
    }
}
