import Distillation
import Exchange
import TestSupport
import Testing
import Tokens
import Wire

/// Teachers whose tokenizers are not the student's: who is let in, and what they do not grade.
@Suite struct TeacherTokensTests {
    private static let worker = PeerID("worker")
    private static let scorer = PeerID("scorer")

    /// Accepts one fingerprint for one teacher.
    private struct Policy: TokenizerPolicy {
        var fingerprint = "more"
        var foreignIDs: Set<Int32> = []

        func verdict(on hello: Hello, teacher: String) -> TokenizerVerdict {
            if hello.tokenizerFingerprint == "t" { return .accepted(foreignIDs: []) }
            return hello.tokenizerFingerprint == fingerprint && teacher == "default"
                ? .accepted(foreignIDs: foreignIDs) : .refused(reason: "token id 7 is \"a\" here and \"b\" there")
        }
    }

    private func exchange(_ policy: Policy?) -> Exchange {
        var options = ExchangeOptions(runID: "r", tokenizerFingerprint: "t", vocabularySize: 100)
        options.tokenizers = policy
        return Exchange(plan: plan(heldout: 0), options: options, epoch: 9, version: 0)
    }

    private func hello(_ role: Role, _ tokenizer: String?, rows: Int = 0) -> Message {
        .hello(
            Hello(
                role: role, name: role.rawValue, tokenizerFingerprint: tokenizer,
                teachers: role == .scorer ? ["default"] : [], processID: 1,
                teacher: rows == 0 ? nil : TeacherDescription(vocabularySize: rows)))
    }

    private func rejection(_ actions: [Exchange.Action]) -> Reject? {
        actions.lazy.compactMap { action -> Reject? in
            guard case .send(.reject(let reject), _) = action else { return nil }
            return reject
        }.first
    }

    @Test func aTokenizerThatThePolicyAcceptsIsLetIn() throws {
        var strict = exchange(nil), shared = exchange(Policy())
        func join(_ exchange: inout Exchange, _ tokenizer: String?) -> Reject? {
            rejection(exchange.receive(hello(.scorer, tokenizer), from: Self.scorer, now: .zero))
        }
        #expect(join(&strict, "t") == nil && join(&strict, nil) == nil)
        let plain = try #require(join(&strict, "more"))
        #expect(
            plain.code == .tokenizerMismatch && plain.message.hasPrefix("the tokenizer of teacher 'default' differs"))
        for accepted in ["t", nil, "more"] { #expect(join(&shared, accepted) == nil, "\(accepted ?? "none")") }
        let other = try #require(join(&shared, "other"))
        #expect(other.code == .tokenizerMismatch)
        #expect(other.message.contains("from the student's: token id 7 is \"a\" here and \"b\" there; a teacher must"))
        // The student's own workers have the student's tokenizer.
        #expect(
            rejection(shared.receive(hello(.rollout, "more"), from: Self.worker, now: .zero))?.code
                == .tokenizerMismatch)
    }

    /// A teacher that is to grade in tokens of its own is not let in with the student's, and no other of the two is with
    /// its.
    @Test func aTeacherWithItsOwnTokensHasThose() throws {
        struct Own: TokenizerPolicy {
            func verdict(on hello: Hello, teacher: String) -> TokenizerVerdict {
                hello.tokenizerFingerprint == "own" ? .accepted(foreignIDs: []) : .refused(reason: "it is another")
            }
        }
        var options = ExchangeOptions(runID: "r", tokenizerFingerprint: "t", vocabularySize: 100)
        options.tokenizers = Own()
        options.retokenizers = [
            "default": { ids, _ in
                RetokenizedResponse(ids: ids, spans: ids.map { _ in TokenSpan(count: 1, otherCount: 1) })
            }
        ]
        func join(_ role: Role, _ tokenizer: String?) -> Reject? {
            var exchange = Exchange(plan: plan(heldout: 0), options: options, epoch: 9, version: 0)
            return rejection(exchange.receive(hello(role, tokenizer), from: Self.scorer, now: .zero))
        }
        let students = try #require(join(.scorer, "t"))
        #expect(students.code == .tokenizerMismatch)
        #expect(
            students.message
                == "the tokenizer of teacher 'default' is not the one that this run knows: it is another")
        #expect(join(.scorer, "own") == nil && join(.rollout, "t") == nil)
        #expect(join(.rollout, "own")?.code == .tokenizerMismatch)
    }

    /// Ids that a teacher would take for another word, or has no logit for, are not graded: the step is judged without.
    @Test(arguments: [(Set<Int32>([40]), 0, 40), ([], 60, 60), ([40], 60, 99)] as [(Set<Int32>, Int, Int32)])
    func whatATeacherDoesNotKnowIsNotGraded(foreign: Set<Int32>, rows: Int, id: Int32) throws {
        var exchange = exchange(Policy(foreignIDs: foreign))
        func receive(_ message: Message, _ peer: PeerID) -> [Exchange.Action] {
            defer { #expect(exchange.audit() == nil) }
            return exchange.receive(message, from: peer, now: .zero)
        }
        _ = receive(hello(.rollout, "t"), Self.worker)
        let grants = receive(.leaseRequest(LeaseRequest(count: 2, epoch: 9)), Self.worker)
        let tasks = grants.flatMap { action -> [RolloutTask] in
            guard case .send(.rolloutGrant(let grant), _) = action else { return [] }
            return grant.groups.flatMap(\.tasks)
        }
        try #require(tasks.count >= 2)
        // Both come before a scorer is there: what it does not know is known when it has said so.
        let results = zip(tasks, [[1, id, 3], [1, 2, 3]]).map { task, ids in
            RolloutResult(
                Trajectory(
                    id: task.id, kind: task.kind, teacher: nil, promptIDs: task.promptIDs, responseIDs: ids,
                    behaviourLogprobs: [-1, -1, -1], policyVersions: PolicyVersions(repeating: 0, count: 3),
                    finishReason: .stop, temperature: 1))
        }
        _ = receive(.trajectories(Trajectories(results: results, epoch: 9)), Self.worker)
        _ = receive(hello(.scorer, "more", rows: rows), Self.scorer)
        let actions = receive(.leaseRequest(LeaseRequest(count: 8, epoch: 9)), Self.scorer)
        let granted = actions.flatMap { action -> [RolloutID] in
            guard case .send(.scoreGrant(let grant), _) = action else { return [] }
            return grant.tasks.map(\.id)
        }
        #expect(granted == [tasks[1].id])
        let suspects = actions.compactMap { action -> (ScoredTrajectory, String)? in
            guard case .suspect(let scored, let reason) = action else { return nil }
            return (scored, reason)
        }
        #expect(suspects.map(\.0.trajectory.id) == [tasks[0].id])
        #expect(suspects.first?.1.contains("token id \(id), ") == true && suspects.first?.0.isFinite == false)
        #expect(exchange.ledger.counts.inFlight == 6)
    }
}
