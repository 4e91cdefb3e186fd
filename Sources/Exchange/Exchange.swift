import Distillation
import Tokens
import Wire

/// Hands out work and takes results: the learner's memory of who does what.
///
/// A state machine without sockets, clocks or threads: messages and the time go in, actions come out. Work moves by
/// leases. A result is acknowledged once it is in the ledger, the first of several is taken, and a lease whose holder
/// falls silent is issued again, so that no prompt is lost and none trained twice, whoever dies when. At most
/// `RunPlan.groupLimit` groups are ever open, which bounds staleness by pacing: nothing finished is thrown away.
package struct Exchange: Sendable {
    package let plan: RunPlan
    package let options: ExchangeOptions
    /// Random, drawn when the learner's process started.
    package let epoch: UInt64
    /// Completed training steps, which is also the version of the weights.
    package internal(set) var version: UInt64
    package internal(set) var ledger: Ledger
    package internal(set) var counters = ExchangeCounters()

    /// Who had no numbers for a rollout, or for a trajectory's grades, one entry an attempt.
    var attemptsWithoutNumbers: [WorkItem: [PeerID]] = [:]
    /// Results of the burst that is being taken, by sender.
    var unacknowledged: [PeerID: [WorkItem]] = [:]
    var order: PromptOrder
    var table = WorkTable()
    /// First group that has not been opened.
    var nextGroup: UInt64
    /// Version whose evaluation is open.
    package var evaluating: UInt64?
    var members = MemberTable()
    /// What a forward pass costs teachers that members hold or held, by name, as the first who knew has told.
    var teacherCosts: [String: PassCost] = [:]
    /// Which of the student's ids teachers can grade, by name, as far as members have told.
    var gradableTokens: [String: GradableTokens] = [:]
    /// Whether a rollout worker has joined, in this process's time, that does not promise the same bits twice.
    package internal(set) var hasInexactSampler = false
    var leases = LeaseTable()
    var finished: String?
    var lastTick: Duration?

    /// - Parameters:
    ///   - version: completed steps; the cursor follows from it, for the composition of every batch is fixed.
    ///   - counts: the ledger of the checkpoint that is continued.
    package init(
        plan: RunPlan, options: ExchangeOptions, epoch: UInt64, version: UInt64 = 0, counts: TokenCounts = TokenCounts()
    ) {
        self.plan = plan
        self.options = options
        self.epoch = epoch
        self.version = version
        ledger = Ledger(restoring: counts)
        order = PromptOrder(count: plan.prompts.count, seed: plan.seed, shuffled: plan.shuffle)
        nextGroup = version * UInt64(plan.promptsPerStep)
        openGroups()
    }

    /// Something that the learner is to do.
    package enum Action: Sendable, Equatable {
        case send(Message, to: PeerID)
        /// Send the announcement of the newest weights or, where the peer is a teacher that has older ones, of those, if
        /// there is one.
        case announceWeights(to: PeerID)
        /// Answer a request for weight chunks.
        case serveWeights(WeightsRequest, to: PeerID)
        case note(Note)
        /// Say how the run is to a peer, which need not be a member.
        case reportStatus(to: PeerID)
        /// Keep a result that did not fit its task, for a person to look at.
        case suspect(ScoredTrajectory, reason: String)
        /// Keep what a member has told of its time.
        case spans(MemberSpans)
    }

    /// A line for the log.
    package struct Note: Sendable, Equatable {
        package enum Level: Sendable { case debug, info, notice, warning }
        package var level: Level
        package var text: String
    }

    // MARK: Training

    func keys(step: UInt64) -> [WorkTable.GroupKey] {
        let count = UInt64(plan.promptsPerStep)
        return (step * count..<(step + 1) * count).map { .init(kind: .train, group: $0) }
    }

    /// How far the next batch is.
    package var batchProgress: BatchProgress {
        version < plan.steps ? table.progress(.init(kind: .train, number: version)) : BatchProgress()
    }

    /// The next batch, sorted by id, once every trajectory of it is graded; it stays open until `completeStep`.
    package func batch() -> [ScoredTrajectory]? { version < plan.steps ? table.collect(keys(step: version)) : nil }

    /// The batch was trained: its tokens are booked, it is closed, and the groups that the new version allows are
    /// open. Grants follow with `grantWork`, once the new weights are announced.
    package mutating func completeStep() {
        let tokens = closeBatch()
        ledger.train(tokens: tokens)
        openGroups()
    }

    /// The batch is given up: its tokens are booked as discarded, and the run goes on as after a step that left the
    /// weights as they were.
    package mutating func skipStep() {
        let tokens = closeBatch()
        ledger.discard(tokens: tokens)
        openGroups()
    }

    /// - Returns: response tokens of the batch.
    private mutating func closeBatch() -> Int {
        let keys = keys(step: version)
        guard let batch = table.collect(keys) else { preconditionFailure("a batch is closed when it is complete") }
        close(keys)
        version += 1
        return responseTokenCount(batch)
    }

    private mutating func close(_ keys: [WorkTable.GroupKey]) {
        table.close(keys)
        if attemptsWithoutNumbers.isEmpty { return }
        attemptsWithoutNumbers = attemptsWithoutNumbers.filter { table.items[$0.key] != nil }
    }

    private mutating func openGroups() {
        while nextGroup < plan.groupLimit(version: version) {
            table.open(
                .init(kind: .train, group: nextGroup), batch: plan.step(of: nextGroup),
                prompt: plan.prompts[order.index(of: nextGroup)],
                seed: TaskSeed.training(run: plan.seed, group: nextGroup),
                minimumVersion: plan.minimumVersion(group: nextGroup), samples: plan.samplesPerPrompt)
            nextGroup += 1
        }
    }

    // MARK: Evaluation

    var evaluationKeys: [WorkTable.GroupKey] {
        guard let evaluating else { return [] }
        let count = UInt64(plan.heldout.count)
        return (evaluating * count..<(evaluating + 1) * count).map { .init(kind: .evaluation, group: $0) }
    }

    /// Opens the evaluation of the present weights. They must stay until `completeEvaluation`.
    package mutating func beginEvaluation() {
        precondition(evaluating == nil, "one evaluation at a time")
        evaluating = version
        for (index, key) in evaluationKeys.enumerated() {
            table.open(
                key, batch: version, prompt: plan.heldout[index],
                seed: TaskSeed.evaluation(run: plan.seed, prompt: index), minimumVersion: version, samples: 1)
        }
    }

    /// How far the open evaluation is; all of it is zero when none is open.
    package var evaluationProgress: BatchProgress {
        evaluating.map { table.progress(.init(kind: .evaluation, number: $0)) } ?? BatchProgress()
    }

    /// The evaluation's trajectories in order of the held-out prompts, once all are graded; then it is closed.
    package mutating func completeEvaluation() -> [ScoredTrajectory]? {
        guard evaluating != nil, let evaluated = table.collect(evaluationKeys) else { return nil }
        close(evaluationKeys)
        evaluating = nil
        return evaluated
    }
}

/// Times and identities that the exchange goes by.
package struct ExchangeOptions: Sendable {
    package var runID: String
    /// A lease that its holder neither delivers nor names in a heartbeat is issued again after this long.
    package var lease: Duration
    package var heartbeat: Duration
    /// Identity of the student's tokenizer: members with another are refused, but for those that `tokenizers` lets in.
    /// Nil: not checked.
    package var tokenizerFingerprint: String?
    /// What decides which other tokenizers teachers may have; nil: none.
    package var tokenizers: (any TokenizerPolicy)?
    /// What makes responses those of teachers with other tokenizers, by their labels: given the student's tokens and whether
    /// the response was cut off.
    package var retokenizers: [String: Retokenizing] = [:]
    /// The learner's arithmetic: a member with another is warned of. Nil: not compared.
    package var arithmetic: String?
    /// Ids that the student has; results with others are invalid.
    package var vocabularySize: Int32
    /// Identity of the student's chat template: a member whose teacher tells another is refused. Nil: not checked.
    package var templateIdentity: String?
    /// Identities of teachers' other templates that render their prompts of this run as that one does, by teacher.
    package var equivalentTemplates: [String: String] = [:]
    /// Invalid results in a row after which a member is refused.
    package var invalidResultLimit = 3
    /// Attempts at one rollout, or at its grades, that give no numbers, after which the result is taken as it is: the
    /// model is to blame then, and the step is judged instead of tried for ever.
    package var attemptLimit = 3
    /// Members at once; a hello above it is refused.
    package var memberLimit = 4096
    /// Keys of relays: a name may come over one of them, go to a key of its own when the relay is gone, and come back.
    package var relayKeys: Set<String> = []
    /// The least silence that counts as death, however short the heartbeat.
    package var leastSilence: Duration = .seconds(10)

    package typealias Retokenizing = @Sendable (_ responseIDs: [Int32], _ isCutOff: Bool) -> RetokenizedResponse

    package init(
        runID: String, lease: Duration = .seconds(60), heartbeat: Duration = .seconds(2),
        tokenizerFingerprint: String? = nil, arithmetic: String? = nil, vocabularySize: Int32 = .max
    ) {
        self.runID = runID
        self.vocabularySize = vocabularySize
        self.lease = lease
        self.heartbeat = heartbeat
        self.tokenizerFingerprint = tokenizerFingerprint
        self.arithmetic = arithmetic
    }

    /// Silence after which a member counts as dead.
    package var silence: Duration { max(heartbeat * 5, leastSilence) }
}

/// What the exchange has seen since it was made.
package struct ExchangeCounters: Sendable, Equatable {
    /// Results that were there already, or whose batch is trained.
    package var duplicates = 0
    /// Results that do not fit their task.
    package var invalid = 0
    /// Messages of another epoch.
    package var outdated = 0
    /// Leases that were taken back.
    package var reissued = 0
    package var membersLost = 0
    package var grants = 0

    package init() {}
}
