import Foundation
import Relaying
import TestSupport
import Testing
import Wire

/// Members, a relay's table and a learner, with whatever can happen between them.
private struct RelaySimulation {
    struct Member {
        var told: Version?
        var base: UInt64?
        var asked: [Int: Duration] = [:]
        var present: Set<Int> = []

        var isDone: Bool { told.map { present.count == $0.transfer(base)?.chunkCount } ?? false }
    }

    var random: SeededRandom
    var table = ChunkTable(byteLimit: 40)
    var learner = Version(number: 1, byteCount: 30)
    var members: [PeerID: Member] = [:]
    /// What is on its way to the relay in the name of a member.
    var answers: [(message: Message, peer: PeerID, version: Version)] = []
    var now: Duration = .zero
    var born = 0
    var problems: [String] = []
    var chunksOfLearner = 0

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    mutating func join() {
        born += 1
        let peer = PeerID("m\(born)")
        members[peer] = Member()
        perform(table.welcomed(peer, epoch: learner.epoch, now: now))
        tell(peer)
    }

    /// The learner announces its newest version to a member.
    mutating func tell(_ peer: PeerID) {
        answers.append((.weightsAnnounce(learner.announce), peer, learner))
    }

    mutating func publish(newEpoch: Bool) {
        let before = learner
        learner = Version(epoch: before.epoch + (newEpoch ? 1 : 0), number: before.number + 1, byteCount: 30)
        if newEpoch {
            learner.number = UInt64.random(in: 1...before.number, using: &random)
            // What was on its way is lost, and everybody says hello again.
            answers = []
            for peer in members.keys.sorted(by: { $0.description < $1.description }) {
                members[peer] = Member()
                perform(table.welcomed(peer, epoch: learner.epoch, now: now))
            }
        } else if chance(60) {
            learner.differences = [AnnouncedDifference(baseVersion: before.number, byteCount: 9)]
        }
        for peer in members.keys.sorted(by: { $0.description < $1.description }) { tell(peer) }
    }

    mutating func leave() {
        guard let peer = members.keys.min(by: { $0.description < $1.description }) else { return }
        members[peer] = nil
        answers.removeAll { $0.peer == peer }
        perform(table.left(peer, now: now))
    }

    mutating func perform(_ actions: [ChunkTable.Action]) {
        for action in actions {
            switch action {
            case .ask(let request, let peer):
                guard members[peer] != nil else {
                    problems.append("asked in the name of \(peer), who is gone"); continue
                }
                for reply in learner.replies(to: request) {
                    if case .weightsChunk = reply { chunksOfLearner += 1 }
                    answers.append((reply, peer, learner))
                }
            case .serve(let chunk, let peer): take(chunk, peer)
            }
        }
    }

    mutating func take(_ chunk: WeightsChunk, _ peer: PeerID) {
        guard let told = members[peer]?.told, told.number == chunk.version, members[peer]?.base == chunk.baseVersion
        else { return }
        guard told.chunk(chunk.index, base: chunk.baseVersion) == chunk else {
            problems.append("\(peer) got other bytes than those of chunk \(chunk.index) of \(chunk.version)")
            return
        }
        members[peer]?.present.insert(chunk.index)
    }

    /// Something comes from the learner.
    mutating func deliver(damages: Bool) {
        guard !answers.isEmpty else { return }
        let (message, peer, version) = answers.removeFirst()
        guard members[peer] != nil else { return }
        switch message {
        case .weightsAnnounce(let announce):
            perform(table.announced(announce, to: peer, now: now))
            guard members[peer]?.told != version else { return }
            // It has the version before, or not.
            let base = version.differences.first?.baseVersion
            members[peer] = Member(told: version, base: base != nil && chance(70) ? base : nil)
        case .weightsChunk(var chunk):
            if damages, chance(5) { chunk.payload = Frame(chunk.payload.array.map { $0 ^ 1 }) }
            if damages, chance(5) { return }
            if let actions = table.arrived(chunk, for: peer) {
                perform(actions)
            } else if members[peer]?.told == version {
                take(chunk, peer)
            }
        default: break
        }
    }

    /// A member asks for what it misses, as one that keeps two chunks on the way.
    mutating func ask(_ peer: PeerID) {
        guard let member = members[peer], let told = member.told, let transfer = told.transfer(member.base) else {
            return
        }
        let missing = (0..<transfer.chunkCount).filter { !member.present.contains($0) }
        for index in missing.prefix(2) where member.asked[index].map({ now - $0 >= .seconds(5) }) ?? true {
            members[peer]?.asked[index] = now
            let request = WeightsRequest(
                version: told.number, firstChunk: index, credit: 1, baseVersion: member.base)
            perform(table.requested(request, by: peer, now: now) ?? [.ask(request, as: peer)])
        }
    }

    mutating func step(disturbed: Bool) {
        now += .milliseconds(200)
        if disturbed {
            if chance(4) { publish(newEpoch: chance(20)) }
            if chance(5) { join() }
            if chance(4) { leave() }
            if chance(2) {
                // The relay dies; members come again, to another.
                table = ChunkTable(byteLimit: 40)
                answers = []
                let count = members.count
                members = [:]
                for _ in 0..<count { join() }
            }
        }
        for peer in members.keys.sorted(by: { $0.description < $1.description }) { ask(peer) }
        for _ in 0..<Int.random(in: 0...6, using: &random) { deliver(damages: disturbed) }
        if table.heldBytes > 40 { problems.append("\(table.heldBytes) bytes are held") }
    }
}

@Suite struct ChunkTablePropertyTests {
    /// `OPD_PROPERTY_SEEDS=2000` looks longer than `make test` does.
    static let seeds = UInt64(ProcessInfo.processInfo.environment["OPD_PROPERTY_SEEDS"] ?? "") ?? 40

    /// Whatever happens, members get the bytes of the version that they were told of and no others, and in the end all
    /// have the newest.
    @Test(arguments: 0..<seeds) func everybodyGetsTheNewestVersionsBytes(seed: UInt64) {
        var simulation = RelaySimulation(seed: seed)
        for _ in 0..<4 { simulation.join() }
        for _ in 0..<400 where simulation.problems.isEmpty { simulation.step(disturbed: true) }
        simulation.publish(newEpoch: false)
        simulation.join()
        for _ in 0..<600 where simulation.problems.isEmpty { simulation.step(disturbed: false) }
        #expect(simulation.problems == [], "seed \(seed)")
        #expect(simulation.members.values.allSatisfy { $0.isDone && $0.told == simulation.learner }, "seed \(seed)")
    }

    /// Undisturbed, the learner's chunks do not grow with the members.
    @Test func theLearnerSendsEveryChunkOnce() {
        for count in [1, 8, 50] {
            var simulation = RelaySimulation(seed: 1)
            for _ in 0..<count { simulation.join() }
            for _ in 0..<1000 where simulation.problems.isEmpty { simulation.step(disturbed: false) }
            #expect(simulation.members.count == count && simulation.members.values.allSatisfy(\.isDone))
            #expect(simulation.chunksOfLearner == simulation.learner.announce.chunkCount, "\(count) members")
        }
    }
}
