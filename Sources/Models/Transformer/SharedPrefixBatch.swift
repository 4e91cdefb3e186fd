import Compute

extension PagePool {
    /// Pages for a sequence of so many tokens.
    package func allocate(positions: Int) -> [Int32] {
        (0..<(positions + Self.pagePositions - 1) / Self.pagePositions).map { _ in allocate() }
    }
}

/// Prompts with their responses, laid out so that neighbours with equal prompts share the prompt's rows.
///
/// Rows are all prompts, then all responses without their last token, whose output nobody reads. A response reads the
/// prompt's keys and values: whole pages are shared, the last partial one is copied once the prompt has been computed.
package struct SharedPrefixBatch {
    /// Rows 0..<prompts.ids.count.
    package private(set) var prompts = TokenBatch()
    /// The rows after them; `firstRow` of its segments counts from the first response row.
    package private(set) var responses = TokenBatch()
    /// Rows whose output the head reads, [R]: sequence by sequence, one a response token.
    package private(set) var headRows: [Int32] = []
    /// The token each of them predicts, [R].
    package private(set) var targets: [Int32] = []
    /// Partial pages to copy between the two passes.
    package private(set) var pageCopies: [(source: Int32, destination: Int32)] = []
    /// Which rows attend to which, for the backward pass over all rows.
    package private(set) var groups: [AttentionGroup] = []

    /// - Parameter sequences: prompts of at least one token with their responses, which may be empty.
    package init(_ sequences: [(prompt: [Int32], response: [Int32])], pool: PagePool) {
        var promptOfSequence: [Int] = []  // index into prompts.segments
        for (index, sequence) in sequences.enumerated() {
            if index == 0 || sequences[index - 1].prompt != sequence.prompt {
                prompts.append(
                    sequence.prompt, startPosition: 0, pages: pool.allocate(positions: sequence.prompt.count))
            }
            promptOfSequence.append(prompts.segments.count - 1)
        }
        groups = prompts.segments.map { AttentionGroup(prompt: $0, responses: []) }
        let responseOffset = prompts.ids.count
        for (index, sequence) in sequences.enumerated() {
            let prompt = prompts.segments[promptOfSequence[index]]
            let inputs = sequence.response.dropLast()
            let firstRow = responseOffset + responses.ids.count
            if !inputs.isEmpty {
                let pages = Self.continuePages(of: prompt, by: inputs.count, pool: pool, copies: &pageCopies)
                responses.append(inputs, startPosition: prompt.count, pages: pages)
                groups[promptOfSequence[index]].responses.append(
                    Segment(firstRow: firstRow, count: inputs.count, startPosition: prompt.count, pages: pages))
            }
            for offset in sequence.response.indices {
                headRows.append(
                    Int32(offset == 0 ? prompt.firstRow + prompt.count - 1 : firstRow + offset - 1))
            }
            targets += sequence.response
        }
    }

    package var rowCount: Int { prompts.ids.count + responses.ids.count }
    /// [T] token ids of all rows.
    package var ids: [Int32] { prompts.ids + responses.ids }

    package func releasePages(_ pool: PagePool) {
        for segment in prompts.segments + responses.segments {
            for page in segment.pages { pool.release(page) }
        }
    }

    private static func continuePages(
        of prompt: Segment, by count: Int, pool: PagePool, copies: inout [(source: Int32, destination: Int32)]
    ) -> [Int32] {
        let shared = prompt.count / PagePool.pagePositions
        for page in prompt.pages.prefix(shared) { pool.retain(page) }
        let own = pool.allocate(positions: prompt.count + count - shared * PagePool.pagePositions)
        if shared < prompt.pages.count { copies.append((prompt.pages[shared], own[0])) }
        return prompt.pages.prefix(shared) + own
    }
}
