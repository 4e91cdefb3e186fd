/// The candidate that a mistyped name most likely meant: fewest edits (insert, delete, replace, swap neighbours),
/// at most a third of the name's length, at least 1; nil when none is that close.
package func nearestName(to name: String, among candidates: [String]) -> String? {
    let limit = max(1, name.count / 3)
    let ranked = candidates.map { (distance: editDistance(name, $0), name: $0) }.filter { $0.distance <= limit }
    return ranked.min { ($0.distance, $0.name) < ($1.distance, $1.name) }?.name
}

/// Optimal string alignment distance: Levenshtein's, with a swap of two neighbours as one edit.
package func editDistance(_ a: String, _ b: String) -> Int {
    let a = Array(a.lowercased().prefix(200)), b = Array(b.lowercased().prefix(200))
    if a.isEmpty || b.isEmpty { return max(a.count, b.count) }
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in 1...a.count {
        var row = [i]
        for j in 1...b.count {
            var best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { best = min(best, beforeLast[j - 2] + 1) }
            row.append(best)
        }
        (beforeLast, last) = (last, row)
    }
    return last[b.count]
}
