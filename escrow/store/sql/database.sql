-- may_take_role --
-- Whether the role exists and this login may act as it.
SELECT coalesce((SELECT pg_has_role(current_user, rolname, 'MEMBER') FROM pg_roles
                  WHERE rolname = $1), false)

-- clock --
SELECT clock_timestamp()

-- current_role --
SELECT current_user
