import Distillation
import Tokens
import Wire

/// Every rollout that is open, from the moment it may be issued until its batch is trained.
///
/// Knows nothing of members: a lease is a number here.
struct WorkTable: Sendable {
    /// Rollouts that are leased together: the samples of one prompt.
    struct GroupKey: Hashable, Comparable, Sendable {
        var kind: RolloutKind
        var group: UInt64

        /// Held-out groups first, for the next step waits for them; then in the order of the run.
        static func < (left: GroupKey, right: GroupKey) -> Bool {
            if left.kind != right.kind { return left.kind == .evaluation }
            return left.group < right.group
        }
    }

    /// What is trained, or evaluated, together.
    struct BatchKey: Hashable, Sendable {
        var kind: RolloutKind
        /// The step that trains it, or the version that is evaluated.
        var number: UInt64
    }

    /// A group that is not complete, and who samples it.
    struct Group: Sendable {
        var batch: UInt64
        var prompt: Prompt
        var seed: UInt64
        var minimumVersion: UInt64
        /// Samples without a result, ascending.
        var missing: [UInt32]
        var lease: UInt64?
    }

    /// How far one sample of a group is.
    enum State: Sendable {
        case missing
        case unscored(Grading, lease: UInt64?)
        case ready(ScoredTrajectory)
    }

    /// Ordered as groups are.
    struct ItemKey: Comparable, Sendable {
        var item: WorkItem
        static func < (left: ItemKey, right: ItemKey) -> Bool {
            if left.item.kind != right.item.kind { return left.item.kind == .evaluation }
            return left.item.id < right.item.id
        }
    }

    private(set) var groups: [GroupKey: Group] = [:]
    private(set) var items: [WorkItem: State] = [:]
    /// Groups with missing samples and no lease.
    private(set) var pendingGroups = OrderedQueue<GroupKey>()
    /// Trajectories to be graded and not leased, by teacher.
    private(set) var pendingScores: [String: OrderedQueue<ItemKey>] = [:]
    /// How far each batch is: counted as it goes, for a learner asks after every burst of messages.
    private var tallies: [BatchKey: BatchProgress] = [:]

    mutating func open(
        _ key: GroupKey, batch: UInt64, prompt: Prompt, seed: UInt64, minimumVersion: UInt64, samples: Int
    ) {
        let samples = (0..<UInt32(samples)).map { $0 }
        groups[key] = Group(
            batch: batch, prompt: prompt, seed: seed, minimumVersion: minimumVersion, missing: samples, lease: nil)
        let opened = BatchProgress(total: samples.count, missing: samples.count)
        tallies[BatchKey(kind: key.kind, number: batch), default: BatchProgress()] += opened
        for sample in samples {
            items[WorkItem(id: RolloutID(group: key.group, sample: sample), kind: key.kind)] = .missing
        }
        pendingGroups.insert(key)
    }

    func key(of item: WorkItem) -> GroupKey { GroupKey(kind: item.kind, group: item.id.group) }

    /// Samples of a group that have no result yet.
    func missing(_ key: GroupKey) -> [WorkItem] {
        (groups[key]?.missing ?? []).map {
            WorkItem(id: RolloutID(group: key.group, sample: $0), kind: key.kind)
        }
    }

    // MARK: Rollouts

    mutating func lease(_ key: GroupKey, _ lease: UInt64) {
        change(key) { $0.lease = lease }
        pendingGroups.remove(key)
    }

    /// Makes a group's missing samples available again.
    mutating func release(_ key: GroupKey) {
        change(key) { $0.lease = nil }
        if groups[key]?.missing.isEmpty == false { pendingGroups.insert(key) }
    }

    /// Takes a result. The item must be missing.
    /// - Parameter retokenized: the response as teachers with other tokenizers read it, by label.
    mutating func accept(
        _ trajectory: Trajectory, _ item: WorkItem, retokenized: [String: RetokenizedResponse] = [:]
    ) {
        let key = key(of: item)
        change(key) { $0.missing.removeAll { $0 == item.id.sample } }
        count(BatchProgress(missing: -1), in: key)
        if groups[key]?.missing.isEmpty ?? true { pendingGroups.remove(key) }
        let teachers = groups[key]?.prompt.graders ?? []
        if !teachers.isEmpty, !trajectory.responseIDs.isEmpty {
            enqueue(Grading(trajectory, by: teachers, retokenized: retokenized), item)
        } else {
            finish(item, scored(trajectory, Grade(logprobs: []), key))
        }
    }

    // MARK: Scores

    mutating func leaseScore(_ item: WorkItem, _ lease: UInt64) {
        guard let grading = grading(item) else { return }
        items[item] = .unscored(grading, lease: lease)
        pendingScores[grading.teacher.label, default: .init()].remove(ItemKey(item: item))
    }

    /// Takes what has changed of an item that waits for grades.
    mutating func replace(_ grading: Grading, _ item: WorkItem) {
        guard case .unscored(_, let lease) = items[item] else { return }
        items[item] = .unscored(grading, lease: lease)
    }

    mutating func releaseScore(_ item: WorkItem) {
        guard let grading = grading(item) else { return }
        enqueue(grading, item)
    }

    /// Takes grades, those of the teacher that is asked now. The item must be unscored; it is ready with its last
    /// teacher's.
    mutating func accept(_ grade: Grade, _ item: WorkItem) {
        guard var grading = grading(item) else { return }
        pendingScores[grading.teacher.label, default: .init()].remove(ItemKey(item: item))
        guard let whole = grading.take(grade) else { return enqueue(grading, item) }
        var scored = scored(grading.trajectory, whole, key(of: item))
        scored.take(responseCounts: grading.responseCounts)
        finish(item, scored)
    }

    private mutating func finish(_ item: WorkItem, _ scored: ScoredTrajectory) {
        items[item] = .ready(scored)
        count(BatchProgress(ready: 1), in: key(of: item))
    }

    /// Adds to what is counted of a group's batch.
    private mutating func count(_ change: BatchProgress, in key: GroupKey) {
        guard let batch = groups[key]?.batch else { return }
        tallies[BatchKey(kind: key.kind, number: batch), default: BatchProgress()] += change
    }

    /// Has an item wait for a scorer of the teacher that is asked now.
    private mutating func enqueue(_ grading: Grading, _ item: WorkItem) {
        items[item] = .unscored(grading, lease: nil)
        pendingScores[grading.teacher.label, default: .init()].insert(ItemKey(item: item))
    }

    /// The item's trajectory, which must wait for grades, and who is to give them.
    private func grading(_ item: WorkItem) -> Grading? {
        guard case .unscored(let grading, _) = items[item] else {
            assertionFailure("\(item.id) does not wait for grades")
            return nil
        }
        return grading
    }

    private func scored(_ trajectory: Trajectory, _ grade: Grade, _ key: GroupKey) -> ScoredTrajectory {
        var scored = ScoredTrajectory(
            trajectory: trajectory, teacherLogprobs: grade.logprobs, top: grade.top, hidden: grade.hidden,
            sampler: groups[key]?.prompt.sampler)
        scored.lists = grade.lists
        scored.comparisons = grade.comparisons
        scored.teacherPromptIDs = groups[key]?.prompt.teacherView?.ids
        scored.otherReadings = (groups[key]?.prompt.others ?? []).map {
            TeacherReading(label: $0.label, promptCount: $0.view?.ids.count ?? trajectory.promptIDs.count)
        }
        return scored
    }

    /// Changes a group, which must be open.
    private mutating func change(_ key: GroupKey, _ change: (inout Group) -> Void) {
        guard let index = groups.index(forKey: key) else {
            return assertionFailure("group \(key.group) is not open")
        }
        change(&groups.values[index])
    }

    // MARK: Batches

    /// How many items of a batch are in which state; nothing for one that is not open.
    func progress(_ batch: BatchKey) -> BatchProgress { tallies[batch] ?? BatchProgress() }

    /// The first batch that is not counted as its groups are, or nil: for tests.
    func miscounted() -> BatchKey? {
        let batches = Dictionary(grouping: groups) { BatchKey(kind: $0.key.kind, number: $0.value.batch) }
        let open = Set(batches.keys).union(tallies.keys)
        return open.first { progress($0) != recount((batches[$0] ?? []).map(\.key)) }
    }

    private func recount(_ keys: some Sequence<GroupKey>) -> BatchProgress {
        var progress = BatchProgress()
        for key in keys {
            guard let group = groups[key] else { continue }
            progress.missing += group.missing.count
            forEachItem(of: key) { _, state in
                progress.total += 1
                if case .ready = state { progress.ready += 1 }
            }
        }
        return progress
    }

    /// The trajectories of the groups, sorted by id, when all are ready.
    func collect(_ keys: some Sequence<GroupKey>) -> [ScoredTrajectory]? {
        var batch: [ScoredTrajectory] = []
        var complete = true
        for key in keys {
            forEachItem(of: key) { _, state in
                if case .ready(let scored) = state { batch.append(scored) } else { complete = false }
            }
        }
        guard complete else { return nil }
        return batch.sorted { $0.trajectory.id < $1.trajectory.id }
    }

    mutating func close(_ keys: some Sequence<GroupKey>) {
        for key in keys {
            var closed: [WorkItem] = []
            forEachItem(of: key) { item, _ in closed.append(item) }
            for item in closed { items[item] = nil }
            close(tallyOf: key, closed.count)
            groups[key] = nil
            pendingGroups.remove(key)
        }
    }

    /// Takes a complete group out of what is counted of its batch.
    private mutating func close(tallyOf key: GroupKey, _ samples: Int) {
        guard let batch = groups[key]?.batch else { return }
        let batchKey = BatchKey(kind: key.kind, number: batch)
        count(BatchProgress(total: -samples, ready: -samples), in: key)
        if tallies[batchKey]?.total == 0 { tallies[batchKey] = nil }
    }

    private func forEachItem(of key: GroupKey, _ body: (WorkItem, State) -> Void) {
        var sample: UInt32 = 0
        while true {
            let item = WorkItem(id: RolloutID(group: key.group, sample: sample), kind: key.kind)
            guard let state = items[item] else { return }
            body(item, state)
            sample += 1
        }
    }
}

/// How far a batch is.
package struct BatchProgress: Sendable, Equatable {
    package var total = 0
    /// Tasks that have no trajectory yet.
    package var missing = 0
    /// Tasks that have a trajectory and its grades.
    package var ready = 0
    /// Tasks that have a trajectory which is not graded yet.
    package var unscored: Int { total - missing - ready }
    package var isReady: Bool { ready == total }

    package init(total: Int = 0, missing: Int = 0, ready: Int = 0) {
        self.total = total
        self.missing = missing
        self.ready = ready
    }

    static func += (left: inout BatchProgress, right: BatchProgress) {
        left.total += right.total
        left.missing += right.missing
        left.ready += right.ready
    }
}

extension ScoredTrajectory {
    /// Notes how long the response was for teachers with other tokenizers.
    fileprivate mutating func take(responseCounts: [String: Int]) {
        teacherResponseCounts = responseCounts
        for index in otherReadings.indices {
            otherReadings[index].responseCount = responseCounts[otherReadings[index].label]
        }
    }
}

extension WorkItem {
    package static func < (left: WorkItem, right: WorkItem) -> Bool {
        WorkTable.ItemKey(item: left) < WorkTable.ItemKey(item: right)
    }
}
