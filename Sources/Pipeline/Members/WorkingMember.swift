import Exchange
import Transport
import Wire

/// A member of a run as its process sees it.
package protocol RunMember: Actor {
    /// Works until the learner ends the run, refuses, or does not answer; throws what the engine throws.
    func run() async throws -> MemberEnd
    /// Leaves the run: the learner issues what is held here again at once.
    func stop(_ reason: String)
}

/// An actor that does a learner's work, piece by piece, until that has an end.
protocol WorkingMember: RunMember {
    associatedtype Work: LeasedWork
    var work: MemberWork<Work> { get set }
    /// What it does, and with which weights, for its heartbeats.
    var status: (state: String, version: UInt64) { get }
    /// What it does, for its lane in the run's timeline.
    var stage: Stage { get }
    /// Does what comes next, and throws what the engine throws.
    /// - Returns: false when there is nothing to do before something happens.
    func nextPiece() async throws -> Bool
    /// New weights are told of, or all are void.
    func followWeights(_ action: MemberSession<Work>.Action) async
    /// Ends what still sends, before the transport is closed.
    func closeDown() async
}

extension WorkingMember {
    package func stop(_ reason: String) { work.stop(reason) }

    /// Works until the learner ends the run, refuses, or does not answer; throws what the engine throws.
    func serve() async throws -> MemberEnd {
        let receiving = Task { await receiveAll() }
        let ticking = Task { await tickAll() }
        defer {
            receiving.cancel()
            ticking.cancel()
        }
        do {
            try await workUntilTheEnd()
        } catch {
            work.leave("\(error)")
            await closeDown()
            await work.transport.close()
            throw error
        }
        await closeDown()
        await work.transport.close()
        return work.end ?? .stopped("")
    }

    private func workUntilTheEnd() async throws {
        while work.end == nil {
            if let failure = work.failure { throw failure }
            guard try await nextPiece() else {
                work.enter(stage)
                // Nothing can have happened since the member looked: it has not let go of its actor.
                await withCheckedContinuation { work.wait($0) }
                continue
            }
        }
    }

    private func receiveAll() async {
        for await burst in work.transport.events.bursts {
            for case .message(let message, _) in burst {
                for action in work.receive(message) { await followWeights(action) }
            }
            work.wake()
        }
    }

    private func tickAll() async {
        while (try? await Task.sleep(for: .milliseconds(100))) != nil {
            let status = status
            work.tick(state: status.state, version: status.version)
        }
    }
}
