import Wire

/// What a lease is on.
enum LeaseKind: Sendable, Equatable {
    /// What a group still misses, to be sampled.
    case rollouts(WorkTable.GroupKey)
    /// A trajectory, to be graded.
    case score(WorkItem)
}

/// Work in a member's hands.
struct Lease: Sendable {
    let kind: LeaseKind
    let holder: PeerID
    /// What the holder has not delivered yet.
    fileprivate(set) var items: Set<WorkItem>
    /// When the lease ends unless it is renewed.
    fileprivate(set) var deadline: Duration
}

/// The leases that are out, by their numbers, which count from 1.
///
/// Members name leases in their messages, among them such as have ended: each function says what it does then.
struct LeaseTable: Sendable {
    private var leases: [UInt64: Lease] = [:]
    private var last: UInt64 = 0
    /// The leases on trajectories to be graded; all others are on groups to be sampled.
    private(set) var scoreCount = 0

    var count: Int { leases.count }

    /// The leases in no order.
    var all: Dictionary<UInt64, Lease>.Values { leases.values }

    /// Number and lease, in order of the numbers.
    var byNumber: [(id: UInt64, lease: Lease)] { leases.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }

    /// Those whose time is over, in order of their numbers.
    func overdue(_ now: Duration) -> [(id: UInt64, lease: Lease)] {
        leases.lazy.filter { now > $0.value.deadline }.map { ($0.key, $0.value) }.sorted { $0.id < $1.id }
    }

    /// The lease; nil when it has ended.
    subscript(id: UInt64) -> Lease? { leases[id] }

    /// - Returns: the new lease's number.
    mutating func add(
        _ kind: LeaseKind, _ items: Set<WorkItem>, to holder: PeerID, until deadline: Duration
    ) -> UInt64 {
        last += 1
        if case .score = kind { scoreCount += 1 }
        leases[last] = Lease(kind: kind, holder: holder, items: items, deadline: deadline)
        return last
    }

    /// Moves the end of a lease that `holder` holds; nothing for any other.
    mutating func renew(_ id: UInt64, of holder: PeerID, until deadline: Duration) {
        guard let index = leases.index(forKey: id), leases.values[index].holder == holder else { return }
        leases.values[index].deadline = deadline
    }

    /// Does as if every lease had been granted later than it was.
    mutating func postpone(by time: Duration) {
        for index in leases.values.indices { leases.values[index].deadline += time }
    }

    /// What taking an item out of a lease has come to.
    enum Removal: Sendable {
        /// The lease has ended, or the item is not in it.
        case nothing
        /// The item is out; others are left.
        case partial
        /// The item was the last: the lease has ended.
        case ended
    }

    /// Takes an item out of a lease, which ends with its last.
    mutating func remove(_ item: WorkItem, from id: UInt64) -> Removal {
        guard let index = leases.index(forKey: id), leases.values[index].items.remove(item) != nil else {
            return .nothing
        }
        guard leases.values[index].items.isEmpty else { return .partial }
        _ = end(id)
        return .ended
    }

    /// Ends a lease.
    /// - Returns: the lease as it was; nil when it had ended already.
    mutating func end(_ id: UInt64) -> Lease? {
        guard let lease = leases.removeValue(forKey: id) else { return nil }
        if case .score = lease.kind { scoreCount -= 1 }
        return lease
    }
}
