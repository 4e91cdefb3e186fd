import Files
import RunFiles
import Wording

/// Whose copies a place has: an object `owner` there names the run, by a number that its folder has too.
///
/// So a run never removes or goes on from what another has put there. The folder's file also has the places that were
/// the run's: one that has nothing of it any more is a disk that is not mounted, say, and is not taken anew.
package enum CopyOwner {
    private static let object = "owner"
    private static let header = "opd checkpoint copies of run "

    /// The file of a run's folder with its number, and a line for each place.
    private static func file(of run: RunFolder) -> String { "\(run.path)/copy-id" }

    /// Takes a place for a run, unless it is that run's already.
    /// - Throws: `UsageError` when it is another's, or has what looks like copies and is nobody's.
    package static func claim(_ place: some CopyPlace, for run: RunFolder) throws {
        let isOurs = try check(place, for: run)
        let ours = identifier(of: run) ?? UInt64.random(in: 1 ... .max).padded(to: 16, radix: 16)
        if !isOurs {
            try FileTree.write(([ours] + places(of: run)).joined(separator: "\n") + "\n", to: file(of: run))
            try place.write(Array("\(header)\(ours)\n".utf8), to: object)
        }
        try remember(place, ours, for: run)
    }

    /// Writes down that a place is a run's.
    private static func remember(_ place: some CopyPlace, _ ours: String, for run: RunFolder) throws {
        let known = places(of: run)
        guard !known.contains(place.name) else { return }
        try FileTree.write(([ours] + known + [place.name]).joined(separator: "\n") + "\n", to: file(of: run))
    }

    /// Looks whether a run can have a place, and leaves it as it is.
    /// - Returns: whether it has it already.
    @discardableResult
    package static func check(_ place: some CopyPlace, for run: RunFolder) throws -> Bool {
        if let theirs = try identifier(at: place) {
            guard theirs == identifier(of: run) else {
                throw UsageError(
                    "checkpoint.copy_to: \(place.name) has the copies of another run; give a place of its own, or go on with "
                        + "that run by --resume-from \(place.name)")
            }
            return true
        }
        guard !places(of: run).contains(place.name) else {
            throw PlaceError(
                place.name,
                "it was this run's and has nothing of it now; mount the disk again, or, if it was emptied on purpose, remove "
                    + "\(file(of: run))")
        }
        let there = try place.list()
        guard there == PlacedCopies() else {
            throw UsageError(
                "checkpoint.copy_to: \(place.name) has checkpoints and no 'owner' that says whose they are; give an empty "
                    + "place")
        }
        return false
    }

    /// Makes a run the one whose copies a place has.
    static func adopt(_ place: some CopyPlace, for run: RunFolder) throws {
        guard let theirs = try identifier(at: place) else { return }
        try FileTree.write(theirs + "\n", to: file(of: run))
        try remember(place, theirs, for: run)
    }

    private static func lines(of run: RunFolder) -> [Substring] {
        ((try? FileTree.read(file(of: run), limit: 1 << 16)) ?? "").split(separator: "\n")
    }

    private static func identifier(of run: RunFolder) -> String? { lines(of: run).first.flatMap { parse($0) } }

    private static func places(of run: RunFolder) -> [String] { lines(of: run).dropFirst().map(String.init) }

    private static func identifier(at place: some CopyPlace) throws -> String? {
        guard let bytes = try place.read(object, limit: 1 << 12) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.hasPrefix(header), let identifier = parse(text.dropFirst(header.count)) else {
            throw PlaceError(place.name, "its object 'owner' is none of this program's; give a place of its own")
        }
        return identifier
    }

    private static func parse(_ text: Substring) -> String? {
        let word = text.trimmed
        return word.utf8.count == 16 && UInt64(word, radix: 16) != nil ? String(word) : nil
    }
}
