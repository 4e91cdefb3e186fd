import Distillation
import Tokens

extension ScoreGrant {
    init(_ value: PBScoreGrant, _ arrays: inout ArrayReader, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.tasks.count, "tasks", limits)
        var tasks: [ScoreTask] = []
        tasks.reserveCapacity(value.tasks.count)
        for header in value.tasks {
            var what: String { "score task \(RolloutID(header.id))" }
            let count = Int(header.count), promptCount = Int(header.promptCount), request = GradeRequest(header)
            try Check.require(
                !header.hidden || header.topCount == 0, .invalidValue, "\(what): both top_count and hidden are set")
            try ScoreTask.check(what, teacher: header.teacher, count: count, promptCount: promptCount, request, limits)
            let tokens = TokenSequence(
                promptIDs: try arrays.takeTokenIDs(promptCount, what),
                responseIDs: try arrays.takeTokenIDs(count - promptCount, what))
            var task = ScoreTask(
                id: RolloutID(header.id), kind: try RolloutKind(header.kind), teacher: header.teacher,
                tokens: tokens, leaseID: header.leaseID, request: request)
            task.weightsVersion = header.hasWeightsVersion ? header.weightsVersion : nil
            tasks.append(task)
        }
        self.init(tasks: tasks)
    }
}

extension ScoreTask {
    fileprivate static func check(
        _ what: @autoclosure () -> String, teacher: String, count: Int, promptCount: Int, _ request: GradeRequest,
        _ limits: WireLimits
    ) throws(WireError) {
        try Check.string(teacher, "\(what()): teacher", limits)
        try Check.sequence(count, what(), limits)
        try Check.require(
            promptCount >= 1 && promptCount <= count, .invalidValue,
            "\(what()): prompt_count is \(promptCount), but there are \(count) ids")
        if case .top(let count, let below) = request {
            try Check.topCount(count, what())
            try Check.require(
                below >= count, .invalidValue, "\(what()): top_count is \(count) of \(below) tokens")
        }
    }
}

extension GradeRequest {
    /// The task as it was sent, not checked.
    fileprivate init(_ header: PBScoreTask) {
        self =
            header.hidden
            ? .hidden
            : header.topCount == 0
                ? .sampled : .top(Int(header.topCount), below: Int32(clamping: header.vocabularySize))
    }
}

extension Check {
    fileprivate static func topCount(_ count: Int, _ what: @autoclosure () -> String) throws(WireError) {
        try require(
            (1...TopTokens.mostTokens).contains(count), .invalidValue,
            "\(what()): top_count is \(count), outside 1 ... \(TopTokens.mostTokens)")
    }
}

extension PBScoreGrant {
    init(_ value: ScoreGrant, _ arrays: inout ArrayWriter, _ limits: WireLimits) throws(WireError) {
        try Check.items(value.tasks.count, "tasks", limits)
        self.init()
        for task in value.tasks {
            let count = task.tokens.count
            try ScoreTask.check(
                "score task \(task.id)", teacher: task.teacher, count: count, promptCount: task.promptCount,
                task.request, limits)
            var header = PBScoreTask()
            header.id = PBRolloutId(task.id)
            header.kind = PBRolloutKind(task.kind)
            header.teacher = task.teacher
            header.leaseID = task.leaseID
            header.count = UInt32(count)
            header.promptCount = UInt32(task.promptCount)
            if case .top(let count, let below) = task.request {
                header.topCount = UInt32(count)
                header.vocabularySize = UInt32(below)
            }
            header.hidden = task.request == .hidden
            if let version = task.weightsVersion { header.weightsVersion = version }
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
                    logprobs: try arrays.takeLogprobs(Int(header.count), what),
                    top: try TopTokens(header, &arrays, what),
                    hidden: try HiddenStates(header, &arrays, what)))
        }
        self.init(scores: scores, epoch: value.epoch)
    }
}

extension TopTokens {
    /// Nil where there are none. Neither factor of a product is above its limit, so that it does not run over.
    fileprivate init?(
        _ header: PBScore, _ arrays: inout ArrayReader, _ what: @autoclosure () -> String
    ) throws(WireError) {
        guard header.topCount != 0 else { return nil }
        let count = Int(header.topCount), positions = Int(header.count)
        try Check.topCount(count, what())
        self.init(
            count: count, ids: try arrays.takeTokenIDs(positions * count, what(), from: .topIds),
            logprobs: try arrays.takeLogprobs(positions * count, what(), from: .topLogprobs),
            tails: try arrays.takeLogprobs(positions, what(), from: .tailLogprobs))
    }

    fileprivate func check(_ score: Score) throws(WireError) {
        try Check.topCount(count, "score \(score.id)")
        try Check.require(
            tails.count == score.logprobs.count && ids.count == tails.count * count && logprobs.count == ids.count,
            .lengthMismatch, "score \(score.id): its listed tokens are not \(count) a log-probability")
    }
}

extension HiddenStates {
    /// Nil where there are none.
    fileprivate init?(
        _ header: PBScore, _ arrays: inout ArrayReader, _ what: @autoclosure () -> String
    ) throws(WireError) {
        guard header.hiddenSize != 0 else { return nil }
        let size = Int(header.hiddenSize)
        try Check.require(
            size <= Self.largestSize, .invalidValue, "\(what()): hidden_size is \(size), above \(Self.largestSize)")
        self.init(size: size, numbers: try arrays.takeHiddenStates(Int(header.count) * size, what()))
    }

    fileprivate func check(_ score: Score) throws(WireError) {
        try Check.require(
            (1...Self.largestSize).contains(size) && numbers.count == size * score.logprobs.count, .lengthMismatch,
            "score \(score.id): its hidden states are not \(size) numbers a log-probability")
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
            if let top = score.top {
                try top.check(score)
                header.topCount = UInt32(top.count)
            }
            if let hidden = score.hidden {
                try hidden.check(score)
                header.hiddenSize = UInt32(hidden.size)
            }
            scores.append(header)
        }
        try arrays.appendLogprobs(value.scores.map(\.logprobs))
        try arrays.appendHiddenStates(value.scores.compactMap(\.hidden?.numbers))
        let tops = value.scores.compactMap(\.top)
        guard !tops.isEmpty else { return }
        try arrays.appendTokenIDs(tops.map(\.ids), to: .topIds)
        try arrays.appendLogprobs(tops.map(\.logprobs), to: .topLogprobs)
        try arrays.appendLogprobs(tops.map(\.tails), to: .tailLogprobs)
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
