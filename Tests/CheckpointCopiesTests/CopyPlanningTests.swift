import CheckpointCopies
import RunFiles
import Testing

/// What is copied, left out, tried again and removed, as values.
@Suite struct CopyPlanningTests {
    @Test func theNewestIsCopiedAndWhatComesMeanwhileWaits() {
        var queue = CopyQueue()
        #expect(queue.next(at: .zero) == .rest)
        #expect(queue.saved(step: 2).isEmpty)
        #expect(queue.next(at: .zero) == .copy(step: 2))
        queue.begin()
        #expect(queue.current == 2)
        // One at a time.
        #expect(queue.saved(step: 4).isEmpty)
        #expect(queue.next(at: .seconds(1)) == .rest)
        // Of those that wait only the newest is copied, which is told.
        #expect(queue.saved(step: 6) == [.skipped(step: 4, for: 6)])
        #expect(queue.saved(step: 8) == [.skipped(step: 6, for: 8)])
        #expect(queue.finish(at: .seconds(3)).isEmpty)
        #expect(queue.newest?.step == 2 && queue.newest?.at == .seconds(3))
        #expect(queue.next(at: .seconds(3)) == .copy(step: 8))
    }

    /// A step's checkpoint is written once more with an evaluation: that is no other step.
    @Test func theSameStepAgainIsNotSkipped() {
        var queue = CopyQueue()
        _ = queue.saved(step: 2)
        #expect(queue.saved(step: 2).isEmpty)
        queue.begin()
        #expect(queue.saved(step: 2).isEmpty)
        _ = queue.finish(at: .zero)
        #expect(queue.next(at: .zero) == .copy(step: 2))
    }

    @Test func afterFailuresItWaitsLongerAndSaysSoOnce() {
        var queue = CopyQueue()
        _ = queue.saved(step: 2)
        var now = Duration.zero, waits: [Duration] = []
        for failure in 1...9 {
            #expect(queue.next(at: now) == .copy(step: 2))
            queue.begin()
            let notes = queue.fail("no route", at: now)
            #expect(notes == (failure == 1 ? [.failing(step: 2, "no route")] : []))
            #expect(queue.failures == failure && queue.reason == "no route")
            guard case .wait(let moment) = queue.next(at: now) else {
                Issue.record("no wait after failure \(failure)")
                return
            }
            waits.append(moment - now)
            now = moment
        }
        #expect(waits.prefix(4) == [.seconds(5), .seconds(10), .seconds(20), .seconds(40)])
        #expect(waits.allSatisfy { $0 <= CopyQueue.longestWait } && waits.last == CopyQueue.longestWait)
        queue.begin()
        #expect(queue.finish(at: now) == [.recovered(step: 2, failures: 9)])
        #expect(queue.failures == 0 && queue.reason == nil && queue.next(at: now) == .rest)
    }

    /// A run that ends does not sit out a long wait.
    @Test func aHurriedWaitIsShort() {
        var queue = CopyQueue()
        _ = queue.saved(step: 2)
        for _ in 0..<6 {
            queue.begin()
            _ = queue.fail("x", at: .zero)
        }
        #expect(queue.next(at: .zero) == .wait(until: .seconds(160)))
        #expect(queue.next(at: .zero, isHurried: true) == .wait(until: CopyQueue.firstWait))
        // It is counted from the failure: to ask again does not put it off.
        #expect(queue.next(at: .seconds(3), isHurried: true) == .wait(until: CopyQueue.firstWait))
        #expect(queue.next(at: CopyQueue.firstWait, isHurried: true) == .copy(step: 2))
    }

    /// What failed is tried again, unless a newer one is there by then.
    @Test func aNewerOneTakesThePlaceOfWhatFailed() {
        var queue = CopyQueue()
        _ = queue.saved(step: 2)
        queue.begin()
        _ = queue.saved(step: 4)
        _ = queue.fail("x", at: .zero)
        #expect(queue.wanted == 4 && queue.current == nil)
    }

    @Test func whatItsRunRemovedIsLetGo() {
        var queue = CopyQueue()
        _ = queue.saved(step: 2)
        queue.begin()
        queue.drop()
        #expect(queue.next(at: .zero) == .rest && queue.newest == nil)
    }

    // MARK: What is removed

    private func removals(
        _ complete: Set<Int>, partial: Set<String> = [], newest: Int, left: Set<Int> = [], last: Int, every: UInt64 = 0
    ) -> [String] {
        PlacedCopies(complete: complete, partial: partial).removals(
            newest: newest, left: left, CheckpointSchedule(keepLast: last, keepEvery: every))
    }

    @Test func theOldestGoFirst() {
        #expect(removals([2, 4, 6, 8], newest: 8, last: 2) == ["step-000002", "step-000004"])
        #expect(removals([2, 4, 6, 8], newest: 8, last: 4).isEmpty)
        #expect(removals([2, 4, 6, 8], newest: 8, last: 0) == ["step-000002", "step-000004", "step-000006"])
        #expect(removals([2, 4, 6, 8], newest: 8, last: 1, every: 4) == ["step-000002", "step-000006"])
    }

    /// A run that went on from an earlier checkpoint copies a lower step than the place has: those of the branch that it
    /// left are neither counted nor kept.
    @Test func aBranchThatWasLeftGoes() {
        #expect(removals([4, 8, 10], newest: 4, last: 1) == ["step-000008", "step-000010"])
        #expect(removals([2, 4, 8, 10], newest: 4, last: 2, every: 5) == ["step-000008", "step-000010"])
        #expect(removals([2, 3, 4], newest: 4, left: [3, 4], last: 2) == ["step-000003"])
        #expect(removals([4], newest: 4, left: [4], last: 0).isEmpty, "the one just copied stays")
    }

    /// What a process has not copied, and is later than what it began with, another branch has.
    @Test func aBranchThatWasLeftIsKnown() {
        let copies = PlacedCopies(complete: [2, 4, 6], replaced: [8])
        #expect(copies.left(begunAt: 2, copied: [6]) == [4, 8])
        #expect(copies.left(begunAt: 8, copied: []).isEmpty)
        #expect(copies.left(begunAt: nil, copied: []) == [2, 4, 6, 8])
        #expect(copies.latest(until: 9, left: []) == 9)
        #expect(copies.latest(until: 4, left: [4, 6, 8]) == 2)
        #expect(copies.latest(until: 4, left: [2, 4, 6, 8]) == nil)
    }

    @Test func whatNeverBecameWholeGoes() {
        #expect(
            removals([8], partial: [".part-step-000006", "step-000004"], newest: 8, last: 3)
                == [".part-step-000006", "step-000004"])
    }

    @Test func onlyNamesOfCopiesCount() {
        var copies = PlacedCopies()
        for name in ["owner", "step-", "step-1", "step-0000010", "notes", ".part-", ".part-x", "step-000001x"] {
            copies.add(name, isComplete: true)
            copies.add(name, isComplete: false)
        }
        #expect(copies == PlacedCopies())
        copies.add("step-000012", isComplete: true)
        copies.add("step-000014", isComplete: false)
        copies.add(".part-step-000016", isComplete: true)
        copies.add(".old-step-000018", isComplete: true)
        copies.add(".old-step-000020", isComplete: false)
        #expect(
            copies
                == PlacedCopies(
                    complete: [12], replaced: [18], partial: ["step-000014", ".part-step-000016", ".old-step-000020"]))
    }

    @Test func theOrderIsThatOfTheRunAndNotOfSteps() {
        let copies = PlacedCopies(complete: [4, 8, 10], replaced: [6, 8])
        #expect(
            copies.inOrder(latest: nil).map(\.name) == [
                "step-000010", "step-000008", ".old-step-000008", ".old-step-000006", "step-000004",
            ])
        #expect(copies.inOrder(latest: 7).map(\.step) == [6, 4, 10, 8, 8])
        let removed = copies.removals(newest: 10, CheckpointSchedule(keepLast: 9))
        #expect(removed == [".old-step-000006", ".old-step-000008"])
    }
}
