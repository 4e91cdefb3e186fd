import Compute
import Models
import Randomness
import Tokenizers
import Transformers

/// Continuous batching over a paged key/value cache: slots refill as sequences finish.
///
/// What prompts begin with in common is computed once for those that start together, and taken from running sequences
/// by those that start later; so samples of one prompt share its prefill. A sequence's tokens and log-probabilities
/// depend on its own request and the weights only, to the last bit, not on what runs beside it.
package final class GenerationEngine {
    /// Most prompt tokens that one step takes in beside the running sequences.
    static let prefillTokensPerStep = 1024

    let model: LanguageModel
    private let slots: Int
    /// Whether new weights compute the caches of running sequences anew.
    private let renewsCaches: Bool
    /// Finds stop texts; nil where nobody asks for them.
    private let tokenizer: Tokenizer?
    private var waiting = RequestQueue()
    var running: [RunningSequence] = []
    private var weightVersion: UInt64 { didSet { weightChanges += 1 } }
    /// Counts replacements of weights; another learner may call other weights by the same version.
    private(set) var weightChanges = 0
    private let logits: ScratchTensor
    private var logSumExp: [Float]
    // Filled anew by every step, and kept: a step allocates nothing but what its sequences grow by.
    private var batch = TokenBatch()
    private var rows: [Int32] = []
    private var inverseTemperatures: [Float] = []
    private var uniforms: [Double] = []
    private var tokens: [Int32] = []
    /// A function that is called with every token as it is drawn.
    package var onToken: ((SampledToken) -> Void)?

    /// - Parameters:
    ///   - slots: most sequences that run at a time, at least 1.
    ///   - weightVersion: version of the weights the model holds now.
    ///   - tokenizer: the model's, for requests with stop texts.
    ///   - renewsCaches: whether new weights compute keys and values of running sequences anew, so that all tokens of a
    ///     version have its log-probabilities; otherwise those that are there stay.
    package init(
        model: LanguageModel, slots: Int, weightVersion: UInt64 = 0, tokenizer: Tokenizer? = nil,
        renewsCaches: Bool = false
    ) {
        self.model = model
        self.tokenizer = tokenizer
        self.slots = slots
        self.renewsCaches = renewsCaches
        self.weightVersion = weightVersion
        logits = ScratchTensor(columns: model.configuration.vocabularySize, type: .f32)
        logSumExp = [Float](repeating: 0, count: slots)
    }

    /// Sequences in slots.
    package var activeCount: Int { running.count }
    /// Requests not yet in a slot.
    package var waitingCount: Int { waiting.count }

    /// Queues requests; those that may run longest start first.
    /// - Throws: `GenerationError` when a prompt is empty, holds an id outside the vocabulary, or leaves no room in the
    ///   context.
    package func submit(_ requests: [SampleRequest]) throws {
        for request in requests { try request.check(for: model, hasTokenizer: tokenizer != nil) }
        waiting.append(requests)
    }

    /// Forgets requests, whether they wait or run.
    package func cancel(where isCancelled: (_ id: UInt64) -> Bool) {
        waiting.remove { isCancelled($0.id) }
        running.removeAll { sequence in
            guard isCancelled(sequence.request.id) else { return false }
            release(sequence.pages)
            return true
        }
    }

    /// Follows new weights: tokens drawn from now on carry `version`.
    package func replaceWeights(_ bytes: UnsafeRawBufferPointer, owner: AnyObject, version: UInt64) {
        model.replaceWeights(bytes, owner: owner)
        weightVersion = version
    }

    /// Follows new adapters in the same way; `files`: the model that was loaded.
    package func apply(_ adapters: Adapters, to files: ModelFiles, version: UInt64) throws {
        try model.apply(adapters, to: files)
        weightVersion = version
    }

    /// Prefills what fits, draws one token for every running sequence, and returns those that finished.
    package func step() -> [CompletedSample] {
        if renewsCaches { renewCaches() }
        batch.removeAll()
        rows.removeAll(keepingCapacity: true)
        for index in running.indices {
            if isLong(running[index].cached + 1), !running[index].isLong {
                readAnew(index)
            } else {
                extend(&running[index].pages, to: running[index].cached + 1)
                let sequence = running[index]
                batch.append(
                    sequence.ids.suffix(1), startPosition: sequence.cached, pages: sequence.pages,
                    isLong: sequence.isLong)
            }
            rows.append(Int32(batch.ids.count - 1))
            running[index].cached += 1
        }
        let admitted = admit(into: &batch)
        for group in admitted {
            rows.append(contentsOf: repeatElement(Int32(group.lastRow), count: group.requests.count))
        }
        guard !batch.ids.isEmpty else { return [] }
        let x = model.transformer.forward(batch)
        for group in admitted { fork(group) }
        sample(x)
        return collectFinished()
    }

    /// Whether sequences of so many tokens are turned by a rotary embedding of their own.
    private func isLong(_ count: Int) -> Bool { model.configuration.longRopeAbove.map { count > $0 } ?? false }

    /// Computes all keys and values of a sequence again, with its newest token, by the embedding of long sequences.
    private func readAnew(_ index: Int) {
        let sequence = running[index]
        release(sequence.pages)
        let pages = model.transformer.pool.allocate(positions: sequence.cached + 1)
        batch.append(sequence.request.promptIDs + sequence.ids, startPosition: 0, pages: pages, isLong: true)
        running[index].pages = pages
        running[index].isLong = true
        running[index].wasRead = true
    }

    /// Runs until everything submitted has finished.
    package func run() -> [CompletedSample] {
        var completed: [CompletedSample] = []
        while activeCount + waitingCount > 0 { completed.append(contentsOf: step()) }
        return completed
    }

    // MARK: - Admission

    private struct AdmittedGroup {
        let requests: [SampleRequest]
        let pages: [Int32]
        let promptCount: Int
        let lastRow: Int
    }

    /// Positions whose keys and values are there already, and the pages that hold them and perhaps more.
    private struct Prefix {
        var count = 0
        var pages: [Int32] = []
    }

    /// Fills free slots. Prompts of one step share what they begin with; those that begin like a running sequence
    /// continue its pages.
    private func admit(into batch: inout TokenBatch) -> [AdmittedGroup] {
        var taken: [(group: RequestQueue.Group, prefix: Prefix?)] = []
        var free = slots - running.count
        var prefilled = 0
        while free > 0, let next = waiting.first {
            let prefix = runningPrefix(of: next.promptIDs)
            let tokens = next.promptIDs.count - (prefix?.count ?? 0)
            guard taken.isEmpty || prefilled + tokens <= Self.prefillTokensPerStep else { break }
            let group = waiting.takeFirst(atMost: free)
            taken.append((group, prefix))
            prefilled += tokens
            free -= group.requests.count
        }
        let pool = model.transformer.pool
        let fresh = taken.filter { $0.prefix == nil }.map(\.group.promptIDs)
        // Keys that are turned otherwise cannot be shared.
        let common = Set(fresh.map { isLong($0.count) }).count == 1 ? prefillCommonTokens(fresh) : Prefix()
        defer { release(common.pages) }
        return taken.map { group, prefix in
            let prefix = prefix ?? common, isLong = isLong(group.promptIDs.count)
            var copies: [(source: Int32, destination: Int32)] = []
            let pages = pool.allocate(
                continuing: prefix.pages, count: prefix.count, by: group.promptIDs.count - prefix.count,
                copies: &copies)
            for copy in copies { pool.copy(from: copy.source, to: copy.destination) }
            batch.append(
                group.promptIDs.dropFirst(prefix.count), startPosition: prefix.count, pages: pages, isLong: isLong)
            return AdmittedGroup(
                requests: group.requests, pages: pages, promptCount: group.promptIDs.count,
                lastRow: batch.ids.count - 1)
        }
    }

    /// The longest beginning that a prompt has in common with one that a running sequence has computed with the present
    /// weights. The prompt's last token is left: its output is what the first new token is drawn from.
    private func runningPrefix(of prompt: [Int32]) -> Prefix? {
        var best: (count: Int, index: Int)?
        for (index, sequence) in running.enumerated()
        where sequence.weightChanges == weightChanges && sequence.isLong == isLong(prompt.count) && !sequence.wasRead {
            let count = SharedPrefixBatch.commonTokens(of: prompt, with: sequence.request.promptIDs)
            if count > best?.count ?? 0 { best = (count, index) }
        }
        return best.map { Prefix(count: $0.count, pages: running[$0.index].pages) }
    }

    /// Computes what all prompts begin with, such as a system message, once.
    private func prefillCommonTokens(_ prompts: [[Int32]]) -> Prefix {
        let count = SharedPrefixBatch.commonTokens(prompts)
        guard count > 0 else { return Prefix() }
        let pages = model.transformer.pool.allocate(positions: count)
        var batch = TokenBatch()
        batch.append(prompts[0].prefix(count), startPosition: 0, pages: pages, isLong: isLong(prompts[0].count))
        _ = model.transformer.forward(batch)
        return Prefix(count: count, pages: pages)
    }

    /// Gives every sample of a prefilled prompt its own sequence: full pages are shared, the last partial one is copied.
    private func fork(_ group: AdmittedGroup) {
        let pool = model.transformer.pool
        let sharedCount = group.promptCount / PagePool.pagePositions
        for (index, request) in group.requests.enumerated() {
            var pages = group.pages
            if index > 0 {
                for page in pages.prefix(sharedCount) { pool.retain(page) }
                for position in sharedCount..<pages.count { pages[position] = pool.copy(pages[position]) }
            }
            running.append(
                RunningSequence(
                    request: request, weightChanges: weightChanges, pages: pages, cached: group.promptCount,
                    isLong: isLong(group.promptCount),
                    stopTexts: tokenizer.flatMap { StopTextMatcher(request.parameters.stop, $0) }))
        }
    }

    // MARK: - Drawing tokens

    /// Draws a token for each running sequence, from rows `rows` of the residual stream.
    private func sample(_ x: Tensor) {
        let input = model.transformer.headInput(x, rows: rows)
        inverseTemperatures.removeAll(keepingCapacity: true)
        uniforms.removeAll(keepingCapacity: true)
        for sequence in running {
            let parameters = sequence.request.parameters
            inverseTemperatures.append(parameters.inverseTemperature)
            uniforms.append(parameters.isPlain && !sequence.keepsOutStops ? uniform(for: sequence) : -1)
        }
        let z = logits.tensor(rows: rows.count)
        model.context.headLogits(
            input, head: model.transformer.weights.head, rule: model.transformer.headRule,
            inverseTemperature: inverseTemperatures, into: z, lse: &logSumExp)
        model.context.sampleTokens(logits: z, lse: logSumExp, uniforms: uniforms, into: &tokens)
        let vocabulary = model.configuration.vocabularySize
        for index in running.indices {
            let row = UnsafeBufferPointer(start: z.f32 + index * vocabulary, count: vocabulary)
            let sequence = running[index], parameters = sequence.request.parameters
            let choice =
                tokens[index] >= 0
                ? (token: tokens[index], logprob: row[Int(tokens[index])] - logSumExp[index])
                : sequence.keepsOutStops
                    ? TokenChoice.choose(
                        excluding: parameters.stopTokenIDs, logits: row, logSumExp: logSumExp[index],
                        parameters: parameters, uniform: uniform(for: sequence))
                    : TokenChoice.choose(
                        logits: row, logSumExp: logSumExp[index], parameters: parameters,
                        uniform: uniform(for: sequence))
            running[index].ids.append(choice.token)
            running[index].logprobs.append(choice.logprob)
            running[index].versions.append(weightVersion)
            running[index].hasStopText = running[index].stopTexts?.append(choice.token) ?? false
            onToken?(
                SampledToken(token: choice.token, logprob: choice.logprob))
        }
    }

    private func uniform(for sequence: RunningSequence) -> Double {
        Philox.uniform(
            seed: sequence.request.seed, stream: 0, sample: sequence.request.sample,
            position: UInt32(sequence.request.firstPosition + sequence.ids.count))
    }

    private func collectFinished() -> [CompletedSample] {
        var completed: [CompletedSample] = []
        running.removeAll { sequence in
            let parameters = sequence.request.parameters, count = sequence.ids.count
            let stopped = sequence.isStopped
            guard stopped || count == parameters.maxTokens else { return false }
            release(sequence.pages)
            completed.append(
                CompletedSample(
                    id: sequence.request.id, ids: sequence.ids, logprobs: sequence.logprobs,
                    versions: sequence.versions, finishReason: stopped ? .stop : .length))
            return true
        }
        return completed
    }

    // MARK: - Pages

    private func extend(_ pages: inout [Int32], to positions: Int) {
        while pages.count * PagePool.pagePositions < positions { pages.append(model.transformer.pool.allocate()) }
    }

    func release(_ pages: [Int32]) {
        for page in pages { model.transformer.pool.release(page) }
    }
}
