/// A model of learners that share a run's folder, instruction by instruction: what each reads and renames there, in any
/// order, with any process standing still, dead, or taken for dead at any moment. No clock is in it: whoever watches may
/// take over at any time, for nothing that is promised here rests on time.
struct TermModel: Hashable {
    /// How learners keep out of each other's way; the weak ones show that the model finds what they miss.
    enum Fence: CaseIterable {
        case whole
        /// Temporary names stand beside the checkpoints, and a look at the holder is all.
        case lookOnly
        /// Nobody looks at the holder before a checkpoint gets its name.
        case noLook
        /// Records are opened where they are.
        case sameRecords
    }

    /// What a learner does next.
    enum Next: Int, Comparable {
        case see, take, sign, clear, read, stageRecords, placeRecords, train, record, look, makeFolder, fillFolder
        case lookAgain, place, makeLink, placeLink, choose, prune, over
        static func < (a: Next, b: Next) -> Bool { a.rawValue < b.rawValue }
        var after: Next { Next(rawValue: rawValue + 1) ?? .over }
    }

    /// The terms in which the steps of a history were trained.
    typealias History = [UInt8]

    struct Staged: Hashable {
        var checkpoint: History?
        var isWhole = false
        var records: Int?
        var link: Int?
        var isEmpty: Bool { self == Staged() }
    }

    struct Learner: Hashable {
        var next = Next.see
        var seen: UInt8 = 0
        var term: UInt8 = 0
        var history: History = []
        /// The file of records that it has open.
        var file = 0
        var doomed: Int?
        var end: Bool { next == .over }
    }

    /// A step's line: its number, and the term that wrote it.
    struct Line: Hashable {
        var step: Int
        var term: UInt8
    }

    static let steps = 2
    static let terms: UInt8 = 3

    var learners: [Learner]
    var term: UInt8 = 1
    /// Whose record the term's folder has.
    var holder: UInt8 = 1
    /// What is in the term's folder; what is in one that its former holder has made again for itself; and, with a weak
    /// fence, beside the checkpoints.
    var staged = Staged()
    var strays: [UInt8: Staged] = [:]
    var checkpoints: [Int: History] = [:]
    var latest: Int?
    var files: [[Line]] = [[]]
    var records = 0
    var problem: String?

    /// One learner in its first term, and some that watch.
    init(standbys: Int) {
        var first = Learner()
        first.term = 1
        first.next = .train
        learners = [first] + Array(repeating: Learner(), count: standbys)
    }

    /// What is the run's under its names. Lines that a learner adds to a file that it has open count once a later term's
    /// records have that name: until then they are cut.
    private var visible: [AnyHashable] { [checkpoints, latest, records] }

    /// Every state that one instruction or one death leads to.
    func successors(_ fence: Fence) -> [TermModel] {
        guard problem == nil else { return [] }
        var states: [TermModel] = []
        for index in learners.indices where !learners[index].end {
            var moved = self
            moved.step(index, fence)
            if moved != self { states.append(moved) }
            var dead = self
            dead.learners[index].next = .over
            states.append(dead)
        }
        return states
    }

    private mutating func step(_ index: Int, _ fence: Fence) {
        let before = visible
        var me = learners[index]
        let next = me.next
        me.next = next.after
        act(next, &me, fence)
        learners[index] = me
        if before != visible, me.term != term {
            problem = "a learner of term \(me.term) changed the run in term \(term) by \(next)"
        }
        check()
    }

    /// What is at the path of a learner's term: its folder, or one that it has made again; nil: nothing.
    private func place(_ me: Learner, _ fence: Fence) -> Staged? {
        me.term == term ? staged : strays[me.term]
    }

    private mutating func setPlace(_ value: Staged, _ me: Learner) {
        if me.term == term { staged = value } else { strays[me.term] = value }
    }

    private func isHolder(_ me: Learner) -> Bool { me.term == term && holder == me.term }

    private mutating func act(_ next: Next, _ me: inout Learner, _ fence: Fence) {
        switch next {
        case .see:
            guard term < Self.terms else { return me.next = .over }
            me.seen = term
        case .take:
            guard term == me.seen else {
                // What a learner has made again for itself can be renamed too, and is found to have no record.
                strays[me.seen] = nil
                return me.next = .see
            }
            term += 1
            me.term = term
        case .sign:
            guard me.term == term else { return me.next = .see }
            holder = me.term
        case .clear:
            guard me.term == term else { return me.next = .over }
            if fence != .lookOnly { staged = Staged() }
            strays = [:]
        case .read: me.history = latest.flatMap { checkpoints[$0] } ?? []
        case .stageRecords:
            let kept = Array(files[records].prefix { $0.step <= me.history.count })
            if fence == .sameRecords {
                files[records] = kept
                me.file = records
                return me.next = .train
            }
            guard var place = place(me, fence) else { return me.next = .over }
            files.append(kept)
            me.file = files.count - 1
            place.records = me.file
            setPlace(place, me)
        case .placeRecords:
            guard var place = place(me, fence), place.records == me.file else { return me.next = .over }
            records = me.file
            place.records = nil
            setPlace(place, me)
        case .train:
            guard me.history.count < Self.steps else { return me.next = .over }
            me.history.append(me.term)
        case .record: files[me.file].append(Line(step: me.history.count, term: me.term))
        case .look, .lookAgain: if fence != .noLook, !isHolder(me) { me.next = .over }
        case .makeFolder, .fillFolder:
            // Folders above it are made again where they have gone.
            var place = fence == .lookOnly ? staged : place(me, fence) ?? Staged()
            place.isWhole = next == .fillFolder && place.checkpoint == me.history
            place.checkpoint = me.history
            if fence == .lookOnly { staged = place } else { setPlace(place, me) }
        case .place:
            guard var place = fence == .lookOnly ? staged : place(me, fence), place.checkpoint == me.history else {
                return me.next = .over
            }
            if !place.isWhole { problem = "half a checkpoint got a name" }
            checkpoints[me.history.count] = me.history
            place.checkpoint = nil
            place.isWhole = false
            if fence == .lookOnly { staged = place } else { setPlace(place, me) }
        case .makeLink:
            guard var place = place(me, fence) else { return me.next = .over }
            place.link = me.history.count
            setPlace(place, me)
        case .placeLink:
            guard var place = place(me, fence), place.link == me.history.count else { return me.next = .over }
            latest = place.link
            place.link = nil
            setPlace(place, me)
        case .choose: me.doomed = checkpoints.keys.filter { $0 != latest }.min()
        case .prune:
            me.next = .train
            guard let doomed = me.doomed else { return }
            guard place(me, fence) != nil else { return me.next = .over }
            checkpoints[doomed] = nil
            me.doomed = nil
        case .over: break
        }
    }

    private mutating func check() {
        for (step, history) in checkpoints where history.count != step || history != history.sorted() {
            problem = problem ?? "the checkpoint of step \(step) has the steps of \(history)"
        }
        if let latest, checkpoints[latest] == nil { problem = problem ?? "the latest checkpoint is gone" }
        let lines = files[records]
        if lines.map(\.step) != Array(1..<(lines.count + 1)) { problem = problem ?? "steps are recorded as \(lines)" }
        // Whoever has the run and trains has recorded its own history, but for the step that it is at.
        guard let me = learners.first(where: { $0.term == term && $0.next >= .train && !$0.end }) else { return }
        let recorded = lines.map(\.term)
        if me.file != records || !me.history.starts(with: recorded) || me.history.count > recorded.count + 1 {
            problem = problem ?? "the history of term \(term) is \(me.history), and recorded is \(recorded)"
        }
    }
}
