import Distillation
import Tokens

extension ScoreGrant {
    init(_ value: PBScoreGrant, _ arrays: inout ArrayReader, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.tasks.count, "tasks", limits)
        var tasks: [ScoreTask] = []
        tasks.reserveCapacity(value.tasks.count)
        for header in value.tasks {
            var what: String { "score task \(RolloutID(header.id))" }
            let count = Int(header.count), promptCount = Int(header.promptCount)
            try ScoreTask.check(what, teacher: header.teacher, count: count, promptCount: promptCount, limits)
            let tokens = TokenSequence(
                promptIDs: try arrays.takeTokenIDs(promptCount, what),
                responseIDs: try arrays.takeTokenIDs(count - promptCount, what))
            tasks.append(
                ScoreTask(
                    id: RolloutID(header.id), kind: try RolloutKind(header.kind), teacher: header.teacher,
                    tokens: tokens, leaseID: header.leaseID))
        }
        self.init(tasks: tasks)
    }
}

extension ScoreTask {
    fileprivate static func check(
        _ what: @autoclosure () -> String, teacher: String, count: Int, promptCount: Int, _ limits: WireLimits
    ) throws(WireError) {
        try Check.string(teacher, "\(what()): teacher", limits)
        try Check.sequence(count, what(), limits)
        try Check.require(
            promptCount >= 1 && promptCount <= count, .invalidValue,
            "\(what()): prompt_count is \(promptCount), but there are \(count) ids")
    }
}

extension PBScoreGrant {
    init(_ value: ScoreGrant, _ arrays: inout ArrayWriter, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.tasks.count, "tasks", limits)
        self.init()
        for task in value.tasks {
            let count = task.tokens.count
            try ScoreTask.check(
                "score task \(task.id)", teacher: task.teacher, count: count, promptCount: task.promptCount, limits)
            var header = PBScoreTask()
            header.id = PBRolloutId(task.id)
            header.kind = PBRolloutKind(task.kind)
            header.teacher = task.teacher
            header.leaseID = task.leaseID
            header.count = UInt32(count)
            header.promptCount = UInt32(task.promptCount)
            tasks.append(header)
        }
        try arrays.appendTokenIDs(value.tasks.flatMap { [$0.promptIDs, $0.responseIDs] })
    }
}

extension Scores {
    init(_ value: PBScores, _ arrays: inout ArrayReader, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.scores.count, "scores", limits)
        var scores: [Score] = []
        scores.reserveCapacity(value.scores.count)
        for header in value.scores {
            var what: String { "score \(RolloutID(header.id))" }
            try Check.sequence(Int(header.count), what, limits)
            scores.append(
                Score(
                    id: RolloutID(header.id), kind: try RolloutKind(header.kind),
                    logprobs: try arrays.takeLogprobs(Int(header.count), what)))
        }
        self.init(scores: scores, epoch: value.epoch)
    }
}

extension PBScores {
    init(_ value: Scores, _ arrays: inout ArrayWriter, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.scores.count, "scores", limits)
        self.init()
        epoch = value.epoch
        for score in value.scores {
            try Check.sequence(score.logprobs.count, "score \(score.id)", limits)
            var header = PBScore()
            header.id = PBRolloutId(score.id)
            header.kind = PBRolloutKind(score.kind)
            header.count = UInt32(score.logprobs.count)
            scores.append(header)
        }
        try arrays.appendLogprobs(value.scores.map(\.logprobs))
    }
}

extension WorkItem {
    fileprivate static func list(_ values: [PBWorkItem], _ limits: WireLimits) throws(WireError) -> [WorkItem] {
        try Check.items(values.count, "items", limits)
        var items: [WorkItem] = []
        items.reserveCapacity(values.count)
        for value in values { items.append(WorkItem(id: RolloutID(value.id), kind: try RolloutKind(value.kind))) }
        return items
    }
}

extension PBWorkItem {
    fileprivate static func list(_ items: [WorkItem], _ limits: WireLimits) throws(WireError) -> [PBWorkItem] {
        try Check.items(items.count, "items", limits)
        return items.map { item in
            var value = PBWorkItem()
            value.id = PBRolloutId(item.id)
            value.kind = PBRolloutKind(item.kind)
            return value
        }
    }
}

extension Acknowledge {
    init(_ value: PBAcknowledge, _ limits: WireLimits) throws(WireError) {
        self.init(items: try WorkItem.list(value.items, limits))
    }
}

extension PBAcknowledge {
    init(_ value: Acknowledge, _ limits: WireLimits) throws(WireError) {
        self.init()
        items = try PBWorkItem.list(value.items, limits)
    }
}

extension Revoke {
    init(_ value: PBRevoke, _ limits: WireLimits) throws(WireError) {
        self.init(items: try WorkItem.list(value.items, limits))
    }
}

extension PBRevoke {
    init(_ value: Revoke, _ limits: WireLimits) throws(WireError) {
        self.init()
        items = try PBWorkItem.list(value.items, limits)
    }
}
