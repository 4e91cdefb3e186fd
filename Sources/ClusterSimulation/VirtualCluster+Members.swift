import Distillation
import Exchange
import Wire

/// Members: their ticks, their work, their deaths.
extension VirtualCluster {
    func start(_ place: Place) {
        processes += 1
        switch place {
        case .worker(let index):
            let worker = VirtualMember.worker(index, process: processes, shape: shape, now: now)
            workers[index] = worker
            begin(worker.peer, place)
        case .scorer(let index):
            let scorer = VirtualMember.scorer(index, process: processes, shape: shape, now: now)
            scorers[index] = scorer
            begin(scorer.peer, place)
        }
    }

    private func begin(_ peer: PeerID, _ place: Place) {
        places[peer] = place
        events.add(.memberTick(peer), at: now)
    }

    func deliver(_ frames: [Frame], to peer: PeerID) {
        guard let place = places[peer] else { return }
        do throws(WireError) {
            let message = try Codec.decode(frames)
            switch place {
            case .worker(let index): if let worker = workers[index] { hear(message, worker) }
            case .scorer(let index): if let scorer = scorers[index] { hear(message, scorer) }
            }
        } catch {
            problems.append("a member cannot read what the learner sent: \(error)")
        }
    }

    private func hear<Work>(_ message: Message, _ member: VirtualMember<Work>) {
        post(member.receive(message, now: now), from: member)
        beginWork(of: member)
    }

    func tickMember(_ peer: PeerID) {
        guard let place = places[peer] else { return }
        if dice.happens(shape.deathsPerSecond) { return die(peer, place) }
        switch place {
        case .worker(let index): if let worker = workers[index] { post(worker.tick(now: now), from: worker) }
        case .scorer(let index): if let scorer = scorers[index] { post(scorer.tick(now: now), from: scorer) }
        }
        events.add(.memberTick(peer), at: now + .seconds(1))
    }

    private func die(_ peer: PeerID, _ place: Place) {
        deaths += 1
        places[peer] = nil
        arrivals[peer] = nil
        switch place {
        case .worker(let index): workers[index] = nil
        case .scorer(let index): scorers[index] = nil
        }
        // At times before its silence is noticed, at times after.
        events.add(.start(place), at: now + .milliseconds(dice.integer(1000..<20_000)))
    }

    func finishWork(of peer: PeerID) {
        guard let place = places[peer] else { return }
        switch place {
        case .worker(let index): if let worker = workers[index] { deliverWork(of: worker) }
        case .scorer(let index): if let scorer = scorers[index] { deliverWork(of: scorer) }
        }
    }

    private func deliverWork<Work>(of member: VirtualMember<Work>) {
        let results = member.finish(now: now)
        post(results, from: member)
        if dice.happens(shape.doubled) {
            // Once more, and long after.
            for message in results {
                events.add(
                    .toLearner(member.peer, encode(message)), at: now + .milliseconds(dice.integer(100..<20_000)))
            }
        }
        beginWork(of: member)
    }

    private func beginWork<Work>(of member: VirtualMember<Work>) {
        let count = member.begin()
        guard count > 0 else { return }
        let milliseconds =
            Work.self == ScoreTask.self
            ? max(1, Int(shape.gradingMilliseconds * Double(count))) : dice.integer(shape.samplingMilliseconds)
        events.add(.done(member.peer), at: now + .milliseconds(milliseconds))
    }

    private func post<Work>(_ messages: [Message], from member: VirtualMember<Work>) {
        if !member.isAlive { problems.append("\(member.peer) was sent away") }
        for message in messages {
            let frames = encode(message)
            countBytesIn(frames.reduce(0) { $0 + $1.count })
            events.add(.toLearner(member.peer, frames), at: arrival(member.peer))
        }
    }
}
