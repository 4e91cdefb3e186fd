/// What the steps of a run measured, in a bounded number of points: every step one point, or as many steps a point as
/// it takes to stay below the bound.
struct MetricsSeries: Sendable {
    /// Most points.
    let limit: Int
    /// Lines of the file in every point but the last.
    private(set) var linesPerPoint = 1
    /// Lines of each point.
    private(set) var lines: [Int] = []
    /// Where the steps of each point end: step, seconds, tokens that were trained on, operations.
    private(set) var ends: [SIMD4<Double>] = []
    /// Point for point, a value for each name.
    private var sums: [Double] = []
    private var counts: [Int] = []
    private var lows: [Double] = []
    private var highs: [Double] = []

    /// Names, each a value a line.
    let width: Int

    /// - Parameter width: by default one for each of ``MetricsColumns/series``.
    init(limit: Int, width: Int = MetricsColumns.series.count) {
        self.limit = max(2, limit / 2 * 2)
        self.width = width
    }

    /// A series of other names with the lines and points of another, in which nothing has been measured so far.
    init(beside other: MetricsSeries, width: Int) {
        self.init(limit: other.limit, width: width)
        linesPerPoint = other.linesPerPoint
        lines = other.lines
        ends = other.ends
        let count = lines.count * width
        sums = [Double](repeating: 0, count: count)
        counts = [Int](repeating: 0, count: count)
        (lows, highs) = (sums, sums)
    }

    /// Takes the next line. Values that are no numbers do not count.
    mutating func add(_ values: ArraySlice<Double>, end: SIMD4<Double>) {
        if lines.isEmpty || lines[lines.count - 1] >= linesPerPoint { open() }
        let point = lines.count - 1
        lines[point] += 1
        ends[point] = end
        for (place, value) in zip(point * width..<(point + 1) * width, values) where value.isFinite {
            sums[place] += value
            lows[place] = counts[place] == 0 ? value : min(lows[place], value)
            highs[place] = counts[place] == 0 ? value : max(highs[place], value)
            counts[place] += 1
        }
    }

    private mutating func open() {
        if lines.count == limit { halve() }
        lines.append(0)
        ends.append(.zero)
        sums += [Double](repeating: 0, count: width)
        counts += [Int](repeating: 0, count: width)
        lows += [Double](repeating: 0, count: width)
        highs += [Double](repeating: 0, count: width)
    }

    /// Makes one point of every two.
    private mutating func halve() {
        var half = MetricsSeries(limit: limit, width: width)
        half.linesPerPoint = linesPerPoint * 2
        for point in stride(from: 0, to: lines.count, by: 2) {
            half.lines.append(lines[point] + lines[point + 1])
            half.ends.append(ends[point + 1])
            for index in 0..<width {
                let a = point * width + index, b = a + width
                half.sums.append(sums[a] + sums[b])
                half.counts.append(counts[a] + counts[b])
                half.lows.append(counts[a] == 0 ? lows[b] : counts[b] == 0 ? lows[a] : min(lows[a], lows[b]))
                half.highs.append(counts[a] == 0 ? highs[b] : counts[b] == 0 ? highs[a] : max(highs[a], highs[b]))
            }
        }
        self = half
    }

    /// The means of a series, and its least and largest values where a point has several; nil where there is no value
    /// at all. A point without one is no number.
    /// - Parameter from: the first point that is asked for.
    func values(of index: Int, from: Int = 0) -> (means: [Double], lows: [Double]?, highs: [Double]?)? {
        var means: [Double] = [], low: [Double] = [], high: [Double] = []
        for point in from..<max(from, lines.count) {
            let place = point * width + index
            let count = counts[place]
            means.append(count == 0 ? .nan : sums[place] / Double(count))
            low.append(count == 0 ? .nan : lows[place])
            high.append(count == 0 ? .nan : highs[place])
        }
        guard means.contains(where: \.isFinite) else { return nil }
        return linesPerPoint == 1 ? (means, nil, nil) : (means, low, high)
    }
}

/// A list that keeps a bounded, even choice of what is added: when it is full, every second goes, and from then on
/// every second is taken. The first stays for ever; the last that was added is there beside the others.
struct Thinned<Element: Sendable>: Sendable {
    let limit: Int
    private var kept: [Element] = []
    private var last: Element?
    private var stride = 1
    /// How many were added.
    private(set) var total = 0

    init(limit: Int) { self.limit = max(2, limit) }

    mutating func add(_ element: Element) {
        if total % stride == 0 {
            if kept.count == limit {
                kept = kept.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
                stride *= 2
            }
            if total % stride == 0 { kept.append(element) }
            last = total % stride == 0 ? nil : element
        } else {
            last = element
        }
        total += 1
    }

    /// What is kept, in order.
    var elements: [Element] { kept + (last.map { [$0] } ?? []) }
}
