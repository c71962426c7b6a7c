module antiphon/bench/upstream

go 1.24
