import Distillation
import Exchange
import Foundation
import Glibc
import Wire

/// What members cost in resident memory: the learner's side of it, and a session at the member.
package struct MemberMemory: Sendable {
    /// Bytes that the exchange takes for a member with work in its hands.
    package var learner: Double
    /// Bytes of a member's session, without its engine and socket.
    package var session: Double

    /// Makes exchanges of so many members each, until there are members enough for the pages of the process to tell, and
    /// divides.
    package static func measure(members: Int, atLeast total: Int = 40_000) -> MemberMemory {
        let copies = max(1, total / members)
        let before = resident()
        let exchanges = (0..<copies).map { _ in joined(members) }
        let learner = Double(resident() - before) / Double(copies * members)
        let beforeSessions = resident()
        let sessions = (0..<total).map { index in
            let member = VirtualMember.worker(
                index, process: UInt64(index), shape: ClusterShape(workers: 1, scorers: 1), now: .zero)
            _ = member.tick(now: .zero)
            return member
        }
        let session = Double(resident() - beforeSessions) / Double(total)
        return withExtendedLifetime((exchanges, sessions)) { MemberMemory(learner: learner, session: session) }
    }

    /// An exchange in which so many workers have said hello, told how they are and been given a prompt each.
    private static func joined(_ members: Int) -> Exchange {
        let shape = ClusterShape(workers: members, scorers: 1)
        var exchange = Exchange(plan: shape.plan, options: shape.options, epoch: 1)
        for index in 0..<members {
            let peer = PeerID("rollout-\(index)")
            let hello = Hello(
                role: .rollout, name: "rollout-\(index)", tokenizerFingerprint: nil, processID: UInt64(index))
            let beat = Heartbeat(status: MemberStatus(state: "sampling"), epoch: 1)
            _ = exchange.receive(
                [
                    .message(.hello(hello), from: peer), .message(.heartbeat(beat), from: peer),
                    .message(.leaseRequest(LeaseRequest(count: shape.samples, epoch: 1)), from: peer),
                ], now: .zero)
        }
        return exchange
    }

    /// Resident bytes of this process.
    package static func resident() -> Int {
        let fields = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ") ?? []
        return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * sysconf(Int32(_SC_PAGESIZE))
    }
}
