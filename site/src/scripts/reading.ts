/** What every page has for readers, apart from exercises: the course without a network. */
import { wireOffline } from "./offline.ts";

wireOffline();
