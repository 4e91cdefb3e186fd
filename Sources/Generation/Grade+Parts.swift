import Compute
import Distillation

extension Grade {
    /// Those of parts of one response, one after the other; none is one of no token.
    init(joining parts: [Grade], _ request: GradeRequest) {
        let tops = parts.compactMap(\.top), states = parts.compactMap(\.hidden)
        self.init(
            logprobs: parts.flatMap(\.logprobs),
            top: request.topCount == 0
                ? nil
                : TopTokens(
                    count: request.topCount, ids: tops.flatMap(\.ids), logprobs: tops.flatMap(\.logprobs),
                    tails: tops.flatMap(\.tails)),
            hidden: request == .hidden
                ? HiddenStates(joining: states) : nil)
    }

    /// The grade of some of the tokens.
    func part(_ positions: Range<Int>) -> Grade {
        Grade(
            logprobs: Array(logprobs[positions]),
            top: top.map { top in
                let listed = positions.lowerBound * top.count..<positions.upperBound * top.count
                return TopTokens(
                    count: top.count, ids: Array(top.ids[listed]), logprobs: Array(top.logprobs[listed]),
                    tails: Array(top.tails[positions]))
            },
            hidden: hidden.map { hidden in
                let part = positions.lowerBound * hidden.size..<positions.upperBound * hidden.size
                return HiddenStates(size: hidden.size, numbers: hidden.numbers[part])
            })
    }
}

extension HiddenStates {
    /// - Parameter states: [T,C].
    package init(_ states: Tensor) {
        let numbers: Numbers =
            states.type == .f32
            ? .f32(Array(UnsafeBufferPointer(start: states.f32, count: states.count)))
            : .bf16(Array(UnsafeBufferPointer(start: states.bf16, count: states.count)))
        self.init(size: states.columns, numbers: numbers)
    }

    /// Those of parts of one response, one after the other; none is one of no token.
    init?(joining parts: [HiddenStates]) {
        guard let first = parts.first else { return nil }
        switch first.numbers {
        case .bf16:
            let values = parts.flatMap { if case .bf16(let values) = $0.numbers { values } else { [UInt16]() } }
            self.init(size: first.size, numbers: .bf16(values))
        case .f32:
            let values = parts.flatMap { if case .f32(let values) = $0.numbers { values } else { [Float]() } }
            self.init(size: first.size, numbers: .f32(values))
        }
    }
}

extension TopTokens {
    /// - Parameter count: the tokens that every row lists.
    init(_ classes: HeadClasses, count: Int) {
        let ranges = (0..<classes.rowCount).map(classes.range)
        self.init(
            count: count, ids: classes.ids, logprobs: ranges.flatMap { classes.logprobs[$0.dropLast()] },
            tails: ranges.map { classes.logprobs[$0.upperBound - 1] })
    }
}
