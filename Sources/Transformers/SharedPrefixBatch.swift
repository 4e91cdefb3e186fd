import Compute
import Tokens

extension PagePool {
    /// Pages for a sequence of so many tokens.
    package func allocate(positions: Int) -> [Int32] {
        (0..<(positions + Self.pagePositions - 1) / Self.pagePositions).map { _ in allocate() }
    }

    /// Pages for a sequence that continues the first `count` positions of another one, which may have more: whole pages
    /// are shared. A last partial page must be copied once it has been computed.
    package func allocate(
        continuing pages: [Int32], count: Int, by more: Int, copies: inout [(source: Int32, destination: Int32)]
    ) -> [Int32] {
        let shared = count / Self.pagePositions
        for page in pages.prefix(shared) { retain(page) }
        let own = allocate(positions: count + more - shared * Self.pagePositions)
        if count % Self.pagePositions > 0 { copies.append((pages[shared], own[0])) }
        return pages.prefix(shared) + own
    }
}

/// Prompts with their responses, laid out so that what sequences begin with in common is computed once.
///
/// Rows come in stages: what all prompts begin with, such as a system message; the rest of each prompt; the responses
/// without their last token, whose output nobody reads. A stage reads the keys and values of those before it.
package struct SharedPrefixBatch {
    /// Rows that are computed in one pass.
    package struct Stage {
        /// `firstRow` of its segments counts from the stage's first row.
        package var tokens = TokenBatch()
        /// Partial pages of earlier stages, to be copied before the pass.
        package var pageCopies: [(source: Int32, destination: Int32)] = []
    }

    package private(set) var stages: [Stage]
    /// Rows whose output the head reads, [R]: sequence by sequence, one a response token that is predicted.
    package private(set) var headRows: [Int32] = []
    /// The token each of them predicts, [R].
    package private(set) var targets: [Int32] = []
    /// Which rows attend to which, for the backward pass over all rows.
    package private(set) var groups: [AttentionGroup] = []

    /// Tokens that prompts must have in common for a stage of their own to pay.
    package static let minimumCommonTokens = 16

    /// - Parameters:
    ///   - sequences: prompts of at least one token with their responses, which may be empty. Neighbours with equal
    ///     prompts share them.
    ///   - longAbove: tokens of the longest sequence that is not turned by the rotary embedding of long ones.
    ///   - reading: where a sequence grows longer.
    package init(
        _ sequences: [TokenSequence], pool: PagePool, longAbove: Int? = nil,
        reading: SequenceReading = .drawn
    ) {
        self.init(
            sequences.flatMap { SequencePart.parts($0, longAbove: longAbove, reading: reading) }, pool: pool)
    }

    private init(_ sequences: [SequencePart], pool: PagePool) {
        var prompts: [[Int32]] = []
        var areLong: [Bool] = []
        var promptOfSequence: [Int] = []
        for sequence in sequences {
            if prompts.last != sequence.promptIDs || areLong.last != sequence.isLong {
                prompts.append(sequence.promptIDs)
                areLong.append(sequence.isLong)
            }
            promptOfSequence.append(prompts.count - 1)
        }
        // Keys that are turned otherwise cannot be shared.
        let common = Set(areLong).count == 1 ? Self.commonTokens(prompts) : 0

        var root = Stage(), rests = Stage(), responses = Stage()
        if common > 0 {
            root.tokens.append(
                prompts[0].prefix(common), startPosition: 0, pages: pool.allocate(positions: common),
                isLong: areLong[0])
        }
        for (prompt, isLong) in zip(prompts, areLong) {
            let pages =
                root.tokens.segments.first.map {
                    pool.allocate(
                        continuing: $0.pages, count: common, by: prompt.count - common, copies: &rests.pageCopies)
                } ?? pool.allocate(positions: prompt.count)
            rests.tokens.append(
                prompt.dropFirst(common), startPosition: common, pages: pages, isLong: isLong)
        }

        let responseOffset = common + rests.tokens.ids.count
        groups = rests.tokens.segments.map { AttentionGroup([.init($0.moved(by: common))]) }
        for (index, sequence) in sequences.enumerated() {
            let prompt = rests.tokens.segments[promptOfSequence[index]].moved(by: common)
            let inputs = sequence.responseIDs.dropLast()
            let firstRow = responseOffset + responses.tokens.ids.count
            if !inputs.isEmpty {
                let pages = pool.allocate(
                    continuing: prompt.pages, count: sequence.promptIDs.count, by: inputs.count,
                    copies: &responses.pageCopies)
                responses.tokens.append(
                    inputs, startPosition: sequence.promptIDs.count, pages: pages, isLong: sequence.isLong)
                let segment = responses.tokens.segments[responses.tokens.segments.count - 1]
                groups[promptOfSequence[index]].nodes.append(.init(segment.moved(by: responseOffset)))
                groups[promptOfSequence[index]].nodes[0].descendants += 1
            }
            for offset in sequence.tokens.predicted.joined() {
                headRows.append(Int32(offset == 0 ? prompt.rows.upperBound - 1 : firstRow + offset - 1))
            }
            targets += sequence.tokens.ofPredicted(sequence.responseIDs)
        }
        if let segment = root.tokens.segments.first {
            groups = [AttentionGroup(root: segment, continuedBy: groups)]
        }
        stages = [root, rests, responses].filter { !$0.tokens.ids.isEmpty }
    }

    package var rowCount: Int { stages.reduce(0) { $0 + $1.tokens.ids.count } }
    /// [T] token ids of all rows.
    package var ids: [Int32] { stages.flatMap(\.tokens.ids) }

    package func releasePages(_ pool: PagePool) {
        for segment in stages.flatMap(\.tokens.segments) {
            for page in segment.pages { pool.release(page) }
        }
    }

    /// How many tokens at their beginning two or more prompts have in common, and a token of each remains; 0 when they
    /// are too few to matter.
    package static func commonTokens(_ prompts: [[Int32]]) -> Int {
        guard prompts.count > 1, let first = prompts.first else { return 0 }
        let beginning = Array(first.dropLast())
        return prompts.dropFirst().map { commonTokens(of: $0, with: beginning) }.min() ?? 0
    }

    /// How many tokens at its beginning a prompt has in common with another one, and a token of it remains; 0 when they
    /// are too few to matter.
    package static func commonTokens(of prompt: [Int32], with other: [Int32]) -> Int {
        let longest = min(prompt.count - 1, other.count)
        let common = (0..<max(longest, 0)).first { prompt[$0] != other[$0] } ?? longest
        return common < minimumCommonTokens ? 0 : common
    }
}

extension Segment {
    /// The same in a batch in which its rows come later.
    fileprivate func moved(by rows: Int) -> Segment {
        Segment(
            firstRow: firstRow + rows, count: count, startPosition: startPosition, pages: pages, isLong: isLong)
    }
}
