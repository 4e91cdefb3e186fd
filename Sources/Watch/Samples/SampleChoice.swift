/// Which responses of a run are shown: a bounded number, whatever the file has, each for a reason.
struct SampleChoice: Sendable {
    /// Held-out prompts that are followed through the run, and responses of each.
    static let prompts = 24, responsesPerPrompt = 12
    static let worst = 64, spread = 96, newest = 32, perTeacher = 12, failed = 24
    private static let teachers = 16

    private var journeys: [UInt64: Thinned<SampleOutline>] = [:]
    private var journeyOrder: [UInt64] = []
    /// The responses of the highest divergence, in no order, and the lowest of these.
    private var highest: [SampleOutline] = []
    private var floor = -Double.infinity
    private var even = Thinned<SampleOutline>(limit: SampleChoice.spread)
    private var latest = Latest(limit: SampleChoice.newest)
    private var latestFailed = Latest(limit: SampleChoice.failed)
    private var ofTeachers: [UInt64: Latest] = [:]
    private(set) var total = 0

    /// The last of what was added.
    private struct Latest: Sendable {
        let limit: Int
        var ring: [SampleOutline] = []
        var next = 0

        init(limit: Int) { self.limit = limit }

        mutating func add(_ outline: SampleOutline) {
            if ring.count < limit { ring.append(outline) } else { ring[next] = outline }
            next = (next + 1) % limit
        }
    }

    mutating func add(_ outline: SampleOutline) {
        total += 1
        if outline.isEvaluation {
            if journeys[outline.prompt] == nil, journeyOrder.count < Self.prompts {
                journeyOrder.append(outline.prompt)
                journeys[outline.prompt] = Thinned(limit: Self.responsesPerPrompt)
            }
            journeys[outline.prompt]?.add(outline)
        }
        even.add(outline)
        latest.add(outline)
        if outline.passed == false { latestFailed.add(outline) }
        if ofTeachers[outline.teacher] != nil || ofTeachers.count < Self.teachers {
            ofTeachers[outline.teacher, default: Latest(limit: Self.perTeacher)].add(outline)
        }
        keepIfHigh(outline)
    }

    private mutating func keepIfHigh(_ outline: SampleOutline) {
        guard outline.divergence > floor else { return }
        if highest.count < Self.worst {
            highest.append(outline)
            if highest.count < Self.worst { return }
        } else if let lowest = highest.indices.min(by: { highest[$0].divergence < highest[$1].divergence }) {
            highest[lowest] = outline
        }
        floor = highest.map(\.divergence).min() ?? floor
    }

    /// Held-out responses prompt by prompt, through the run.
    var followed: [SampleOutline] { journeyOrder.flatMap { journeys[$0]?.elements ?? [] } }

    /// The others, those first that are worth the most of a bounded space; some may come twice.
    var others: [SampleOutline] {
        let lists = [
            highest.sorted { ($1.divergence, $0.offset) < ($0.divergence, $1.offset) }, even.elements,
            latest.ring.sorted { $0.offset > $1.offset }, latestFailed.ring.sorted { $0.offset > $1.offset },
            ofTeachers.values.flatMap(\.ring).sorted { $0.offset > $1.offset },
        ]
        var mixed: [SampleOutline] = []
        for index in 0..<(lists.map(\.count).max() ?? 0) {
            for list in lists where index < list.count { mixed.append(list[index]) }
        }
        return mixed
    }
}
