import Files
import RunFiles
import Wording

/// Whose copies a place has: an object `owner` there names the run, by a number that its folder has too.
///
/// So a run never removes or goes on from what another has put there.
package enum CopyOwner {
    private static let object = "owner"
    private static let header = "opd checkpoint copies of run "

    /// The file of a run's folder with its number.
    private static func file(of run: RunFolder) -> String { "\(run.path)/copy-id" }

    /// Takes a place for a run, unless it is that run's already.
    /// - Throws: `UsageError` when it is another's, or has what looks like copies and is nobody's.
    package static func claim(_ place: some CopyPlace, for run: RunFolder) throws {
        guard try !check(place, for: run) else { return }
        let ours = identifier(of: run) ?? UInt64.random(in: 1 ... .max).padded(to: 16, radix: 16)
        try FileTree.write(ours + "\n", to: file(of: run))
        try place.write(Array("\(header)\(ours)\n".utf8), to: object)
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
    }

    private static func identifier(of run: RunFolder) -> String? {
        (try? FileTree.read(file(of: run), limit: 64)).flatMap { parse($0[...]) }
    }

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
