import Wire

/// A peer that has said hello.
struct Member: Sendable {
    let peer: PeerID
    let name: String
    let role: Role
    /// Teachers of the run that it holds.
    let teachers: [String]
    /// Kinds of work that it can be given.
    let lanes: [Lane]
    /// The number of its hello, counted over all members.
    fileprivate(set) var serial: UInt64 = 0
    /// What it can fetch of weights, as its hello told.
    let weightRevision: UInt32
    /// The version of which it has asked for chunks last; nil: it never has.
    fileprivate(set) var fetchedVersion: UInt64?
    /// Tasks it wants to hold at once. The last group granted may exceed it.
    fileprivate(set) var window = 0
    /// Leases that it holds.
    fileprivate(set) var held: Set<UInt64> = []
    /// Tasks in the leases that it holds.
    fileprivate(set) var tasks = 0
    fileprivate(set) var lastSign: Duration
    /// Whether messages get there: not from one that could not be sent to the next one that comes.
    fileprivate(set) var reachable = true
    /// The number of its last grant, counted over all members.
    fileprivate(set) var lastGrant: UInt64 = 0
    /// Invalid results since the last valid one.
    fileprivate(set) var invalidResults = 0
    /// Whether a result of it ever had no numbers.
    fileprivate(set) var hadNoNumbers = false
    /// What it told last; nil until its first heartbeat.
    fileprivate(set) var status: MemberStatus?
    /// How its clock goes beside the learner's, as it told last; nil: not known.
    fileprivate(set) var alignment: ClockAlignment?

    init(
        peer: PeerID, name: String, role: Role, teachers: [String], weightRevision: UInt32 = 0, now: Duration
    ) {
        self.peer = peer
        self.name = name
        self.role = role
        self.teachers = teachers
        lanes = teachers.isEmpty && role == .rollout ? [Lane(role, nil)] : teachers.map { Lane(role, $0) }
        self.weightRevision = weightRevision
        lastSign = now
    }

    var hasRoom: Bool { reachable && tasks < window }

    /// What decides whether it is next to be given work.
    fileprivate var standing: (hasRoom: Bool, tasks: Int, lastGrant: UInt64) { (hasRoom, tasks, lastGrant) }

    /// Whether it can sample with this teacher; nil: with the student.
    func samples(with sampler: String?) -> Bool {
        role == .rollout && (sampler.map { teachers.contains($0) } ?? teachers.isEmpty)
    }

    /// Whether it grades with this teacher.
    func grades(with teacher: String) -> Bool { role == .scorer && teachers.contains(teacher) }
}

/// The members of a run.
///
/// What changes a member is for one that is there: to change another is a fault of this module, which a debug build
/// stops at and a release build survives.
struct MemberTable: Sendable {
    private var members: [PeerID: Member] = [:]
    private var peers: [String: PeerID] = [:]
    private var room = RoomIndex()
    private var grantCount: UInt64 = 0
    private var helloCount: UInt64 = 0

    var count: Int { members.count }

    /// The members in no order.
    var all: Dictionary<PeerID, Member>.Values { members.values }

    var byName: [Member] { members.values.sorted { $0.name < $1.name } }

    subscript(peer: PeerID) -> Member? { members[peer] }

    /// The member of this name: no two have one.
    subscript(named name: String) -> Member? { peers[name].flatMap { members[$0] } }

    /// Adds a member, in place of the one with the same peer. No other may have its name.
    mutating func add(_ member: Member) {
        remove(member.peer)
        helloCount += 1
        members[member.peer] = member
        members[member.peer]?.serial = helloCount
        peers[member.name] = member.peer
    }

    mutating func remove(_ peer: PeerID) {
        guard let member = members.removeValue(forKey: peer) else { return }
        if peers[member.name] == peer { peers[member.name] = nil }
    }

    /// The member with room for this kind of work that holds least, and among equals the one whose last grant is oldest.
    mutating func neediest(_ lane: Lane) -> PeerID? { room.first(lane, of: members) }

    // MARK: Signs of life

    /// A message of the member has come.
    mutating func hear(_ peer: PeerID, at now: Duration) {
        change(peer) {
            $0.lastSign = now
            $0.reachable = true
        }
    }

    mutating func setWindow(_ window: Int, of peer: PeerID) { change(peer) { $0.window = window } }

    mutating func setStatus(_ status: MemberStatus, of peer: PeerID) { change(peer) { $0.status = status } }

    mutating func setAlignment(_ alignment: ClockAlignment, of peer: PeerID) {
        change(peer) { $0.alignment = alignment }
    }

    /// The member has asked for chunks of a version.
    mutating func noteFetch(of version: UInt64, by peer: PeerID) { change(peer) { $0.fetchedVersion = version } }

    mutating func setUnreachable(_ peer: PeerID) { change(peer) { $0.reachable = false } }

    /// Does as if every member had been heard later than it was.
    mutating func postponeSilence(by time: Duration) {
        for index in members.values.indices { members.values[index].lastSign += time }
    }

    // MARK: Leases

    /// The member has a lease more.
    mutating func add(lease: UInt64, tasks count: Int, to peer: PeerID) {
        grantCount += 1
        let grant = grantCount
        change(peer) {
            $0.held.insert(lease)
            $0.tasks += count
            $0.lastGrant = grant
        }
    }

    /// The member need not do these tasks of a lease any more.
    mutating func remove(tasks count: Int, from peer: PeerID) { change(peer) { $0.tasks -= count } }

    /// The member has a lease less, with the tasks that are left in it.
    mutating func remove(lease: UInt64, tasks count: Int, from peer: PeerID) {
        change(peer) {
            $0.held.remove(lease)
            $0.tasks -= count
        }
    }

    // MARK: Results

    /// The member has delivered a result that can be used.
    mutating func bookValidResult(_ peer: PeerID) { change(peer) { $0.invalidResults = 0 } }

    /// - Returns: the member's invalid results in a row, this one included.
    mutating func bookInvalidResult(_ peer: PeerID) -> Int {
        change(peer) { $0.invalidResults += 1 }
        return members[peer]?.invalidResults ?? 0
    }

    /// The member has delivered a result without numbers.
    /// - Returns: whether it is its first.
    mutating func bookNoNumbers(_ peer: PeerID) -> Bool {
        let isFirst = members[peer]?.hadNoNumbers == false
        change(peer) { $0.hadNoNumbers = true }
        return isFirst
    }

    private mutating func change(_ peer: PeerID, _ change: (inout Member) -> Void) {
        guard let index = members.index(forKey: peer) else { return assertionFailure("\(peer) is no member") }
        // Not the whole of it: a copy of what it holds would have to be made for the change.
        let (couldTake, tasks, lastGrant) = members.values[index].standing
        change(&members.values[index])
        let standing = members.values[index].standing
        if standing.hasRoom, standing != (couldTake, tasks, lastGrant) {
            room.add(members.values[index], of: members)
        }
    }
}
