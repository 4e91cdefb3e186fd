import Wording

/// What machines are told to do: texts for `sh -s` that come by its standard input, so that no login shell between takes
/// anything apart. Every value is quoted by ``ShellWord``. Only what POSIX and every Linux have is used; there is no agent.
package struct HostScript: Sendable {
    private var body = ""
    private var isLocked = false
    private let layout: HostLayout

    package init(_ layout: HostLayout) { self.layout = layout }

    /// The script as a whole. It does nothing unless all of it has arrived: the shell runs it by its last line.
    package var text: String {
        let values = [
            ("folder", layout.folder), ("control", layout.control), ("program", layout.program),
            ("libraries", layout.libraries ?? ""),
        ].map { "\($0)=\(ShellWord.quoted($1))\n" }.joined()
        return "opd_host() {\n" + values + Self.functions + body + "report\necho opd-end\n}\nopd_host </dev/null\n"
    }

    /// Makes folders below the project's.
    package mutating func make(folders: [String]) {
        guard !folders.isEmpty else { return }
        body += "mkdir -p -- \(ShellWord.line(folders)) || problem \"folders cannot be made in $folder\"\n"
    }

    /// Tells how many kilobytes of these are there already.
    package mutating func measure(_ paths: [String]) {
        body += "present=0\n"
        for path in paths {
            body +=
                "size=$(du -skL -- \(ShellWord.quoted(path)) 2>/dev/null | cut -f 1); present=$((present + ${size:-0}))\n"
        }
    }

    /// Tries the program, and says which libraries it lacks.
    package mutating func tryProgram() { body += "try_program\n" }

    /// Starts a process that goes on when the connection ends, unless it runs already.
    package mutating func start(_ process: PlacedProcess, arguments: [String]) {
        lock()
        body +=
            "start \(ShellWord.quoted(process.name)) \(process.fingerprint) \"$program\" \(ShellWord.line(arguments))\n"
    }

    /// Removes a file, such as the address of an earlier learner.
    package mutating func remove(_ path: String) { body += "rm -f -- \(ShellWord.quoted(path))\n" }

    /// Ends processes: SIGTERM to all, and SIGKILL to those that are there after `grace` seconds.
    /// - Parameter forgets: whether they are not told of any more.
    package mutating func stop(_ names: [String], grace: Int, forgets: Bool = false) {
        guard !names.isEmpty else { return }
        lock()
        body += "stop \(grace) \(ShellWord.line(names))\n"
        if forgets { body += "forget \(ShellWord.line(names))\n" }
    }

    /// Tells the first line of a file.
    package mutating func read(_ path: String, as fact: String) {
        body += "fact \(fact) \"$(head -n 1 -- \(ShellWord.quoted(path)) 2>/dev/null)\"\n"
    }

    /// Asks the learner of a run in this folder how it is.
    package mutating func askStatus(of runFolder: String) {
        body +=
            "fact status \"$(\"$program\" status --json --timeout 5 -- \(ShellWord.quoted(runFolder)) 2>/dev/null | head -c 60000)\"\n"
    }

    private mutating func lock() {
        if !isLocked { body += "one_at_a_time\n" }
        isLocked = true
    }

    private static let functions = #"""
        unset OPD_CHILD
        set -f
        LC_ALL=C
        export LC_ALL
        facts='' problems=''
        tab=$(printf '\t')
        newline='
        '
        clean() { printf '%s' "$1" | tr -d '\000-\037\177'; }
        fact() { facts="${facts}fact$tab$1$tab$(clean "$2")$newline"; }
        problem() { problems="${problems}problem$tab$(clean "$1")$newline"; }
        ending() { report; echo opd-end; exit 0; }

        # A process by the number that it had, when it was started and since which start of the machine: another one that
        # has its number now is not taken for it.
        boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
        begun() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 1,20; }
        lives() {
            pid=0 group=0 begin='' machine='' print=''
            read -r pid group begin machine print 2>/dev/null <"$control/$1.pid" || return 1
            [ "$machine" = "$boot" ] || return 1
            case $(begun "$pid") in
                Z*) return 1 ;;
                *" $begin") return 0 ;;
            esac
            return 1
        }

        report() {
            echo 'opd-report 1'
            fact system "$(uname -s)"
            fact machine "$(uname -m)"
            fact cores "$(getconf _NPROCESSORS_ONLN 2>/dev/null)"
            fact memory_kb "$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)"
            flags=$(sed -n '/^flags/{p;q;}' /proc/cpuinfo)
            case "$flags " in
                *' amx_bf16 '*) fact products amx ;;
                *' avx512_bf16 '*) fact products avx512_bf16 ;;
                *) fact products other ;;
            esac
            fact disk_kb "$(df -Pk . 2>/dev/null | sed -n '2s/.* \([0-9][0-9]*\)  *[0-9][0-9]*%.*/\1/p')"
            fact present_kb "${present:-0}"
            lacking=''
            for tool in setsid sed cut tr head tail stat date; do
                command -v $tool >/dev/null 2>&1 || lacking="$lacking $tool"
            done
            fact lacking "$lacking"
            fact rsync "$(command -v rsync 2>/dev/null)"
            printf '%s%s' "$facts" "$problems"
            now=$(date +%s)
            set +f
            for file in "$control"/*.pid; do
                [ -f "$file" ] || continue
                name=${file##*/}
                name=${name%.pid}
                since=$file
                if lives "$name"; then
                    state=running
                else
                    # Its keeper may be about to write how it ended.
                    [ -f "$control/$name.end" ] || sleep 1
                    if [ -f "$control/$name.end" ]; then
                        since=$control/$name.end
                        state=$(head -c 9 "$since" | tr -cd '0-9')
                    fi
                    case $state in running | '') state=lost ;; esac
                fi
                began=$(stat -c %Y "$since" 2>/dev/null || echo "$now")
                last=$(tail -c 2000 "$control/$name.log" 2>/dev/null | tr '\r' '\n' | grep -a . | tail -n 1)
                printf 'process\t%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$state" "$pid" "$((now - began))" "$print" \
                    "$(clean "$last" | head -c 600)"
                state=''
            done
            set -f
        }

        # What starts and ends processes goes one at a time on a machine, whoever asks.
        one_at_a_time() {
            command -v flock >/dev/null 2>&1 || return
            exec 9>"$control/lock" || return
            flock -w 40 9 && return
            problem "another command has been at work there for 40 s: nothing was started or ended"
            ending
        }

        start() {
            name=$1 wanted=$2
            shift 2
            if lives "$name"; then return; fi
            rm -f -- "$control/$name.pid" "$control/$name.end"
            # A session of its own, so that neither the connection's end nor a signal to its group reaches it. The shell
            # that keeps it writes down which process it is, and how it has ended.
            setsid sh -c '
                unset LC_ALL
                base=$1 print=$2
                shift 2
                "$@" </dev/null >>"$base.log" 2>&1 &
                pid=$!
                begin=$(sed "s/^.*) //" "/proc/$pid/stat" 2>/dev/null | cut -d " " -f 20)
                boot=$(cat /proc/sys/kernel/random/boot_id)
                echo "$pid $$ ${begin:-0} $boot $print" >"$base.new" && mv -f -- "$base.new" "$base.pid"
                wait "$pid"
                echo $? >"$base.end"
            ' opd-keep "$control/$name" "$wanted" "$@" </dev/null >/dev/null 2>&1 9>&- &
            tries=0
            while [ ! -e "$control/$name.pid" ]; do
                tries=$((tries + 1))
                [ "$tries" -le 100 ] || { problem "$name was not started: nothing can be written in $control"; return; }
                sleep 0.1
            done
        }

        stop() {
            deadline=$(($(date +%s) + $1))
            shift
            for name; do
                if lives "$name"; then kill -TERM "$pid" 2>/dev/null; fi
            done
            for name; do
                forced=''
                while lives "$name"; do
                    if [ "$(date +%s)" -ge "$deadline" ]; then
                        kill -KILL "$pid" 2>/dev/null
                        [ -n "$forced" ] || problem "$name did not end by itself and was killed"
                        forced=$((${forced:-0} + 1))
                        # Nothing ends what hangs in the kernel, as on a disk of the network that is gone.
                        if [ "$forced" -gt 50 ]; then break; fi
                    fi
                    sleep 0.2
                done
                # The keeper's last word; it goes with its process.
                tries=0
                while [ -d "/proc/$group" ] && [ ! -e "$control/$name.end" ] && [ "$tries" -lt 20 ]; do
                    tries=$((tries + 1))
                    sleep 0.1
                done
            done
        }
        forget() {
            for name; do
                if ! lives "$name"; then rm -f -- "$control/$name.pid" "$control/$name.end"; fi
            done
        }

        try_program() {
            if said=$("$program" --version 2>&1); then
                fact version "$said"
                return
            fi
            missing=$(ldd "$program" 2>/dev/null | sed -n 's/^[[:space:]]*\([^ ]*\) => not found.*/\1/p' | tr '\n' ' ')
            fact missing "$missing"
            [ -n "$missing" ] || problem "the program does not run there: $(printf '%s' "$said" | head -n 1 | head -c 400)"
        }

        case $folder in /*) ;; *) folder=$HOME/$folder ;; esac
        mkdir -p -- "$folder" && cd -- "$folder" || { problem "no folder can be made at $folder"; ending; }
        case $control in /*) ;; *) control=$folder/$control ;; esac
        case $program in /*) ;; *) program=$folder/$program ;; esac
        mkdir -p -- "$control" && chmod 700 "$control" || { problem "no folder can be made at $control"; ending; }
        if [ -n "$libraries" ]; then
            case $libraries in /*) ;; *) libraries=$folder/$libraries ;; esac
            if [ -d "$libraries" ]; then
                LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
                export LD_LIBRARY_PATH
            fi
        fi

        """#
}
