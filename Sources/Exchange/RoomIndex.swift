import HeapModule
import Wire

/// A kind of work: sampling or grading, with one teacher or, where there is none, with the student.
struct Lane: Hashable, Sendable {
    let role: Role
    let teacher: String?

    init(_ role: Role, _ teacher: String?) {
        self.role = role
        self.teacher = teacher
    }
}

/// A member as it stands to be given work: who holds least comes first, and among equals whose last grant is oldest.
struct Candidate: Comparable, Sendable {
    let tasks: Int
    let lastGrant: UInt64
    let name: String
    let serial: UInt64
    let peer: PeerID

    init(_ member: Member) {
        tasks = member.tasks
        lastGrant = member.lastGrant
        name = member.name
        serial = member.serial
        peer = member.peer
    }

    static func < (left: Candidate, right: Candidate) -> Bool {
        (left.tasks, left.lastGrant, left.name) < (right.tasks, right.lastGrant, right.name)
    }

    /// Whether the member still stands so, and has room.
    func isCurrent(_ member: Member?) -> Bool {
        guard let member else { return false }
        return member.serial == serial && member.tasks == tasks && member.lastGrant == lastGrant && member.hasRoom
    }
}

/// The members with room, by kind of work, so that a grant need not look at all of them.
///
/// A member is entered again whenever it stands otherwise than before; what is entered of it from earlier is passed over
/// when it comes up, and swept out when it outnumbers the members.
struct RoomIndex: Sendable {
    private var lanes: [Lane: Heap<Candidate>] = [:]

    /// Enters a member, which has room.
    mutating func add(_ member: Member, of members: [PeerID: Member]) {
        let candidate = Candidate(member)
        for lane in member.lanes {
            lanes[lane, default: Heap()].insert(candidate)
            guard let count = lanes[lane]?.count, count > 2 * members.count + 64 else { continue }
            sweep(lane, members)
        }
    }

    /// The first member with room.
    mutating func first(_ lane: Lane, of members: [PeerID: Member]) -> PeerID? {
        while let candidate = lanes[lane]?.min {
            if candidate.isCurrent(members[candidate.peer]) { return candidate.peer }
            _ = lanes[lane]?.popMin()
        }
        return nil
    }

    private mutating func sweep(_ lane: Lane, _ members: [PeerID: Member]) {
        var seen: Set<PeerID> = []
        let current = lanes[lane]?.unordered.filter {
            $0.isCurrent(members[$0.peer]) && seen.insert($0.peer).inserted
        }
        lanes[lane] = Heap(current ?? [])
    }
}

extension Dictionary where Key == PeerID {
    /// Peers and values in the order of the peers' names, each of which is put together once.
    var inOrderOfNames: [(peer: PeerID, value: Value)] {
        map { (name: $0.key.description, peer: $0.key, value: $0.value) }.sorted { $0.name < $1.name }
            .map { ($0.peer, $0.value) }
    }
}
